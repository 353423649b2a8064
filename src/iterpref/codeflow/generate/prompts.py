"""What a model is told: Jinja files with a block `user` and, if one likes, a block `system`; any can be replaced by path."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from jinja2.exceptions import TemplateError

from iterpref.codeflow.generate.chat import Message
from iterpref.errors import UserError

FOLDER = Path(__file__).parent.parent / "prompts"


class Prompt:
    """The template `name`, ours or the one at `path`.

    Raises `UserError` for a file that is not there or is no template, and in `render` for a variable that we do not give.
    """

    def __init__(self, name: str, path: str | None = None) -> None:
        self.name, self.option = name, f"generate.{name}_prompt"
        file = Path(path).expanduser() if path else FOLDER / f"{name}.jinja"
        try:
            self.text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self.option}={path}: a Jinja file was expected ({error})") from None
        if "user" not in self._template.blocks:
            raise UserError(f"{self.option}={path}: it has no {{% block user %}}, which is what the model is asked")

    @cached_property
    def _template(self) -> Template:
        environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
        try:
            return environment.from_string(self.text)
        except TemplateError as error:
            line = getattr(error, "lineno", None)
            raise UserError(f"{self.option}, line {line}: {error}; mend the template") from None

    def render(self, **variables: Any) -> list[Message]:
        """System message (if there is one) and user message, stripped."""
        messages = []
        for role in ("system", "user"):
            block = self._template.blocks.get(role)
            if block is None:
                continue
            try:
                text = "".join(block(self._template.new_context(variables)))
            except TemplateError as error:
                known = ", ".join(sorted(variables))
                raise UserError(f"{self.option}: {error}; the variables are {known}") from None
            messages.append(Message(role, text.strip()))
        return messages

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()
