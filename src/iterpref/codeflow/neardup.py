"""Near-duplicates: tasks whose prompts or chosen answers are nearly the same. The first task of each cluster keeps its pairs.

Exact, by prefix filtering (Chaudhuri et al. 2006; Bayardo et al. 2007): with shingles ordered from rare to common, two sets
of Jaccard index >= t share one of their first n - ceil(t n) + 1 shingles, so only sets that do are measured. Sketches such
as MinHash would miss some, and a cluster of which one link is missed can straddle the splits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iterpref.codeflow.hash_sets import HashSets, sharing_a_prefix
from iterpref.codeflow.shingles import jaccard, shingles

SHINGLE = 5  # tokens


@dataclass(frozen=True)
class Similar:
    """Why a pair goes: the index of another that its task is like, how much, and by which texts."""

    other: int
    similarity: float
    by: str


class _Clusters:
    """Union-find over tasks."""

    def __init__(self, n: int) -> None:
        self.parent = list(range(n))

    def root(self, task: int) -> int:
        while (up := self.parent[task]) != task:
            self.parent[task] = self.parent[up]  # halves the way
            task = up
        return task

    def join(self, a: int, b: int) -> None:
        self.parent[self.root(a)] = self.root(b)


def near_duplicates(
    rows: Iterable[tuple[str, str, str]], threshold: float, by: str, folder: Path
) -> dict[int, Similar]:
    """The rows to drop, by index. Rows of one task are one: they go or stay together.

    Args:
        rows: (task id, prompt, chosen), read once.
        threshold: least Jaccard index of near-duplicates, in (0, 1], over sets of 5-token shingles.
        by: `prompt`, `chosen`, `either` or `both`: what must be similar.
        folder: for the shingles, which stay on disk; in memory are some 60 bytes a row and the ids of the tasks.
    """
    # Both: candidates by the answers, of which fewer are alike by chance, measured by prompts too.
    ways = {"either": [["prompt"], ["chosen"]], "both": [["chosen", "prompt"]]}.get(by, [[by]])
    numbers: dict[str, int] = {}
    tasks: list[int] = []
    like: dict[int, Similar] = {}
    with ExitStack() as stack:
        sets = {
            name: stack.enter_context(HashSets(folder / f".shingles.{name}"))
            for name in dict.fromkeys(name for way in ways for name in way)
        }
        for task_id, prompt, chosen in rows:
            tasks.append(numbers.setdefault(task_id, len(numbers)))
            for name, text in (("prompt", prompt), ("chosen", chosen)):
                if name in sets:
                    sets[name].add(shingles(text, SHINGLE))
        clusters = _Clusters(len(numbers))
        for way in ways:
            columns = [sets[name].finish() for name in way]
            for i, j, similarity in _links(columns, tasks, threshold, clusters, folder):
                for one, other in ((i, j), (j, i)):
                    like.setdefault(tasks[one], Similar(other, similarity, " and ".join(way)))
    first: dict[int, int] = {}
    return {
        index: like[task]
        for index, task in enumerate(tasks)
        if first.setdefault(clusters.root(task), task) != task
    }  # fmt: skip


def _links(
    columns: Sequence[HashSets], tasks: Sequence[int], threshold: float, clusters: _Clusters, folder: Path
) -> Iterator[tuple[int, int, float]]:
    """`(index, index, similarity)` of rows that join two clusters: alike by every column."""
    # Equal texts need no search: a prompt that half of the data shares would flood it.
    digests = np.rec.fromarrays([c.digests() for c in columns]) if len(columns) > 1 else columns[0].digests()
    _, first, of = np.unique(digests, return_index=True, return_inverse=True)
    earliest = first[of]
    for i, j in enumerate(earliest.tolist()):
        if i != j and clusters.root(tasks[i]) != clusters.root(tasks[j]):
            clusters.join(tasks[i], tasks[j])
            yield i, j, 1.0
    unlike = np.flatnonzero(earliest == np.arange(len(tasks)))
    for group in sharing_a_prefix(columns[0], unlike, threshold, folder):
        by_cluster: dict[int, list[int]] = {}
        for i in group:
            own = [c[i] for c in columns]
            for root, members in list(by_cluster.items()):
                for j in members if root != clusters.root(tasks[i]) else ():
                    similarity = min(jaccard(mine, c[j], threshold) for mine, c in zip(own, columns, strict=True))
                    if similarity >= threshold:
                        clusters.join(tasks[i], tasks[j])
                        by_cluster = _regrouped(by_cluster, clusters, tasks)
                        yield i, j, similarity
                        break
            by_cluster.setdefault(clusters.root(tasks[i]), []).append(i)


def _regrouped(groups: dict[int, list[int]], clusters: _Clusters, tasks: Sequence[int]) -> dict[int, list[int]]:
    merged: dict[int, list[int]] = {}
    for members in groups.values():
        merged.setdefault(clusters.root(tasks[members[0]]), []).extend(members)
    return merged
