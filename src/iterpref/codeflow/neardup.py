"""Near-duplicates: tasks whose prompts or chosen answers are nearly the same. The first task of each cluster keeps its pairs.

Exact, by prefix filtering (Chaudhuri et al. 2006; Bayardo et al. 2007): with shingles ordered from rare to common, two sets
of Jaccard index >= t share one of their first n - ceil(t n) + 1 shingles, so only sets that do are measured. Sketches such
as MinHash would miss some, and a cluster of which one link is missed can straddle the splits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from iterpref.codeflow.shingles import Hashes, jaccard, shingles
from iterpref.codeflow.tally import Drop
from iterpref.progress import track
from iterpref.schema import PreferencePair

SHINGLE = 5  # tokens


class _Clusters:
    """Union-find over task ids."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def root(self, task: str) -> str:
        while (up := self.parent.get(task, task)) != task:
            self.parent[task] = self.parent.get(up, up)  # halves the way
            task = up
        return task

    def join(self, a: str, b: str) -> None:
        self.parent[self.root(a)] = self.root(b)


def near_duplicates(pairs: Sequence[PreferencePair], threshold: float, by: str) -> dict[int, Drop]:
    """The pairs to drop, by index. Pairs of one `task_id` are one task: they go or stay together.

    Args:
        threshold: least Jaccard index of near-duplicates, in (0, 1], over sets of 5-token shingles.
        by: `prompt`, `chosen`, `either` or `both`: what must be similar.
    """
    clusters = _Clusters()
    like: dict[str, Drop] = {}
    texts = {"prompt": [p.prompt for p in pairs], "chosen": [p.chosen for p in pairs]}
    tasks = [p.task_id for p in pairs]
    # Both: candidates by the answers, of which fewer are alike by chance, measured by prompts too.
    for kinds in {"either": [["prompt"], ["chosen"]], "both": [["chosen", "prompt"]]}.get(by, [[by]]):
        for i, j, similarity in _links([texts[k] for k in kinds], tasks, threshold, clusters):
            for one, other in ((i, j), (j, i)):
                note = f"{similarity:.2f} like {pairs[other].pair_id} by {' and '.join(kinds)}"
                like.setdefault(tasks[one], Drop("filter_near_duplicate", note))
    first: dict[str, str] = {}
    return {
        index: like[task]
        for index, task in enumerate(tasks)
        if first.setdefault(clusters.root(task), task) != task
    }  # fmt: skip


def _links(
    columns: Sequence[Sequence[str]], tasks: Sequence[str], threshold: float, clusters: _Clusters
) -> Iterator[tuple[int, int, float]]:
    """`(index, index, similarity)` of pairs that join two clusters: alike by every column."""
    sets: list[list[Hashes]] = []
    known: dict[tuple[bytes, ...], int] = {}
    unlike: list[int] = []
    for i in track(range(len(tasks)), len(tasks), "shingles"):
        sets.append([shingles(column[i], SHINGLE) for column in columns])
        # Equal texts need no search: a prompt that half of the data shares would flood it.
        j = known.setdefault(tuple(s.tobytes() for s in sets[i]), i)
        if j == i:
            unlike.append(i)
        elif clusters.root(tasks[i]) != clusters.root(tasks[j]):
            clusters.join(tasks[i], tasks[j])
            yield i, j, 1.0
    for group in _sharing_a_prefix([sets[i][0] for i in unlike], threshold):
        by_cluster: dict[str, list[int]] = {}
        for i in (unlike[g] for g in group):
            for root, members in list(by_cluster.items()):
                for j in members if root != clusters.root(tasks[i]) else ():
                    similarity = min(jaccard(a, b, threshold) for a, b in zip(sets[i], sets[j], strict=True))
                    if similarity >= threshold:
                        clusters.join(tasks[i], tasks[j])
                        by_cluster = _regrouped(by_cluster, clusters, tasks)
                        yield i, j, similarity
                        break
            by_cluster.setdefault(clusters.root(tasks[i]), []).append(i)


def _regrouped(groups: dict[str, list[int]], clusters: _Clusters, tasks: Sequence[str]) -> dict[str, list[int]]:
    merged: dict[str, list[int]] = {}
    for members in groups.values():
        merged.setdefault(clusters.root(tasks[members[0]]), []).extend(members)
    return merged


def _sharing_a_prefix(sets: Sequence[Hashes], threshold: float) -> Iterator[list[int]]:
    """Groups of sets with a shingle of their prefixes in common; each pair of Jaccard index >= threshold is in one of them."""
    if not sets:
        return
    values, counts = np.unique(np.concatenate(sets), return_counts=True)
    prefixes, owners = [], []
    for i, hashes in enumerate(sets):
        n = len(hashes)
        length = n - math.ceil(threshold * n - 1e-9) + 1
        rare_first = np.argsort(counts[np.searchsorted(values, hashes)], kind="stable")[: min(length, n)]
        prefixes.append(hashes[rare_first])
        owners.append(np.full(len(rare_first), i))
    hashes, owner = np.concatenate(prefixes), np.concatenate(owners)
    order = np.lexsort((owner, hashes))
    for group in np.split(owner[order], np.flatnonzero(np.diff(hashes[order])) + 1):
        if len(group) > 1:
            yield group.tolist()
