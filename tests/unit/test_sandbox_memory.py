"""A look at the memory of namespaces and functions sees every change of a name."""

from __future__ import annotations

from typing import Any

import pytest

from iterpref.codeflow.sandbox.child import memory

pytestmark = pytest.mark.skipif(not memory.KNOWN, reason="another Python lays its objects out in its own way")


class Judge:
    limit = 1

    def decide(self, value: int = 0, *, strict: bool = False) -> bool:
        return value > self.limit and strict


def _other(self: Judge, value: int = 0, *, strict: bool = False) -> bool:
    return True


CHANGES = {
    "a replaced method": lambda judge: setattr(judge, "decide", _other),
    "a replaced value": lambda judge: setattr(judge, "limit", 2),
    "a new name": lambda judge: setattr(judge, "more", 2),
    "a removed name": lambda judge: delattr(judge, "limit"),
    "another body": lambda judge: setattr(judge.decide, "__code__", _other.__code__),
    "another default": lambda judge: setattr(judge.decide, "__defaults__", (5,)),
    "another keyword default": lambda judge: setattr(judge.decide, "__kwdefaults__", {"strict": True}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_seen(name: str) -> None:
    judge: Any = type("J", (), {"limit": 1, "decide": lambda self, value=0, *, strict=False: False})
    held = [*vars(judge).values(), judge.decide.__code__]
    image = memory.Image([vars(judge)], [judge.decide])
    judge().decide(3)
    judge.decide.__doc__ = "notes do not matter"
    assert image.unchanged()
    CHANGES[name](judge)
    assert not image.unchanged()
    assert held


def test_many_names_in_a_module_and_one_put_back() -> None:
    names: dict[str, Any] = {f"name_{i}": object() for i in range(500)}
    image = memory.Image([names])
    original = names["name_250"]
    names["name_250"] = None
    assert not image.unchanged()
    names["name_250"] = original
    assert image.unchanged()
    names.update({f"more_{i}": i for i in range(5000)})  # the table moves
    assert not image.unchanged()
