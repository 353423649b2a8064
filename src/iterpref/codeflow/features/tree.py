"""A feature tree: domains with kinds of tasks, and aspects that any task may have; grown by a model, sampled by seed.

domains:
  text:
    formatting: [wrap paragraphs, align columns]
aspects:
  data structure: [heap, ring buffer]
  constraint:
    failure: [raises for bad input]
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from iterpref.errors import UserError

OURS = Path(__file__).parent / "tree.yaml"
LONGEST_NAME = 80
DEEPEST = 6  # names from a domain to a leaf
_TRIES = 100
_NAME = re.compile(r"[^\W_][^/<>{}\[\]`\x00-\x1f\x7f]*\Z")
Tree = dict[str, Any]  # name -> Tree; a leaf is an empty one
FeaturePath = tuple[str, ...]


def is_name(text: object) -> bool:
    """A short line that begins with a letter or digit, and holds none of `/ < > { } [ ]` and no backtick."""
    return isinstance(text, str) and len(text) <= LONGEST_NAME and text.isprintable() and bool(_NAME.match(text))


@dataclass(frozen=True)
class FeatureTree:
    domains: Tree
    aspects: Tree

    def to_dict(self) -> dict[str, Tree]:
        return {"domains": self.domains, "aspects": self.aspects}

    def nodes(self) -> list[FeaturePath]:
        """Every node below the two roots that may have children, in a fixed order; paths begin with `domains` or `aspects`."""
        return [p for p in _walk(self.to_dict(), ()) if 2 <= len(p) < DEEPEST]

    def children(self, path: FeaturePath) -> list[str]:
        return list(self._at(path))

    def graft(self, path: FeaturePath, names: Sequence[str]) -> int:
        """Adds children that are not there yet, upper and lower case being one; returns how many."""
        node = self._at(path)
        known = {name.casefold() for name in node}
        added = 0
        for name in names:
            if name.casefold() not in known:
                known.add(name.casefold())
                node[name] = {}
                added += 1
        return added

    def _at(self, path: FeaturePath) -> Tree:
        node: Tree = self.to_dict()
        for name in path:
            node = node[name]
        return node

    def sample(self, i: int, each: int, seed: int, seen: set[FeaturePath]) -> FeaturePath:
        """Number `i` of the samples by `seed`: a leaf of one domain and leaves of `each - 1` aspects, as paths joined by `/`.

        Domains take turns. None of `seen` comes again; the sample is added to it. The first n samples are the same however many
        follow. Raises `UserError` when no other is left.
        """
        order = sorted(self.domains)
        random.Random(f"{seed}/domains").shuffle(order)
        domain = order[i % len(order)]
        for turn in range(_TRIES):
            rng = random.Random(f"{seed}/{i}/{turn}")
            chosen = rng.sample(sorted(self.aspects), each - 1)
            found = (
                rng.choice(_leaves(self.domains, domain)),
                *(rng.choice(_leaves(self.aspects, aspect)) for aspect in chosen),
            )
            key = (found[0], *sorted(found[1:]))
            if key not in seen:
                seen.add(key)
                return key
        for key in self._all(each):
            if key not in seen:
                seen.add(key)
                return key
        raise UserError(
            f"problems.features.tasks: the tree gives {i} different samples of problems.features.each={each} features: lower the "
            "first, raise the second, or extend the tree (problems.features.evolve=N)"
        )

    def _all(self, each: int) -> Iterator[FeaturePath]:
        for domain in sorted(self.domains):
            for aspects in itertools.combinations(sorted(self.aspects), each - 1):
                pools = [_leaves(self.domains, domain), *(_leaves(self.aspects, aspect) for aspect in aspects)]
                for found in itertools.product(*pools):
                    yield (found[0], *sorted(found[1:]))


def _walk(tree: Tree, path: FeaturePath) -> Iterator[FeaturePath]:
    for name, below in tree.items():
        yield (*path, name)
        yield from _walk(below, (*path, name))


def _leaves(tree: Tree, name: str) -> list[str]:
    """Leaves at or below a child of the tree, as paths joined by `/`."""
    below = tree[name]
    return ["/".join((name, *leaf)) for leaf in _leaf_paths(below)] if below else [name]


def _leaf_paths(tree: Tree) -> Iterator[FeaturePath]:
    for name, below in tree.items():
        if below:
            yield from ((name, *leaf) for leaf in _leaf_paths(below))
        else:
            yield (name,)


def read_tree(path: str | None, each: int) -> FeatureTree:
    """The tree in a YAML file; None: the package's own.

    Raises `UserError` naming the place of what is no tree, and for a tree with too few aspects for `each` features.
    """
    file = Path(path).expanduser() if path else OURS
    try:
        value = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"problems.path={path}: a YAML file with a feature tree was expected ({reason})") from None
    if not isinstance(value, dict) or not value.get("domains") or set(value) - {"domains", "aspects"}:
        raise UserError(f"{file}: 'domains' was expected at the top, and perhaps 'aspects', and nothing else")
    tree = FeatureTree(*(_read(value.get(root), (root,), file) for root in ("domains", "aspects")))
    if each - 1 > len(tree.aspects):
        raise UserError(
            f"problems.features.each={each}: {file} has {len(tree.aspects)} aspects, and a task has one feature of its domain: "
            f"choose at most {len(tree.aspects) + 1}"
        )
    return tree


def _read(value: Any, path: FeaturePath, file: Path) -> Tree:
    """Names as mapping, list or single text; nothing for a leaf."""
    place = f"{file}, {' > '.join(path)}"
    if value is None:
        return {}
    if isinstance(value, str):
        value = [value]
    pairs: list[tuple[Any, Any]]
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = [pair for item in value for pair in (item.items() if isinstance(item, dict) else [(item, None)])]
    else:
        raise UserError(f"{place}: names below each other were expected, {value!r} came")
    tree: Tree = {}
    for name, below in pairs:
        if not is_name(name):
            raise UserError(
                f"{place}: {name!r} is no name of a feature: a short text without / < > {{ }} [ ] was expected"
            )
        if name.casefold() in {known.casefold() for known in tree}:
            raise UserError(f"{place}: '{name}' stands there twice")
        if len(path) >= DEEPEST:
            raise UserError(f"{place}: the tree is deeper than {DEEPEST} names")
        tree[name] = _read(below, (*path, name), file)
    return tree
