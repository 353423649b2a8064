"""Writing a model into a folder. safetensors has an error of its own for a disk that is full; here it is everybody's `OSError`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from iterpref.checksums import write_sums
from iterpref.models.adapters import has_adapters


def save_model(model: Any, folder: Path) -> None:
    """`model.save_pretrained(folder)`, and the checksums of what it wrote; raises `OSError` with the folder's name where the disk refused."""
    # No adapter stands on the embedding; peft would ask the hub for its size.
    said = {"save_embedding_layers": False} if has_adapters(model) else {}
    try:
        model.save_pretrained(folder, **said)
    except SafetensorError as error:
        told = re.search(r"os error (\d+)", str(error))
        if told is None:
            raise
        number = int(told[1])
        raise OSError(number, os.strerror(number), str(folder)) from None
    write_sums(folder)
