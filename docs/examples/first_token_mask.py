"""A mask rule: of each run of wrong tokens only the first counts, where the model took the wrong turn."""

import numpy as np

from iterpref.registry import MASKS


@MASKS.register("first_token")
def first_token(side) -> np.ndarray:
    """1 on the first token of each run of D, 0 elsewhere."""
    before = np.concatenate(([0], side.focal[:-1]))
    return ((side.focal == 1) & (before == 0)).astype(np.float32)
