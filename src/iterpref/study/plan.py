"""A study -> what has to be run, in which order.

    start     the model as it is, scored on everything
    tune      each arm at each learning rate, one seed, scored on `tune.by` alone
    main      each arm at the rate that tuning chose for it, all seeds, scored on `compared` and `held_out`
    variants  one change of an arm each, at that arm's rate, the first seed, scored like it
    rates     each arm at each rate of tuning and at those beyond it, tuning's seed, scored on `tune.also`: after the fact,
              as it chooses nothing

Seeds come outermost, so that a study that is cut off has whole rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from iterpref.errors import UserError, nearest

START = "start"
PHASES = (START, "tune", "main", "variants", "rates")
BY_LR = ("tune", "rates")  # whose jobs differ by learning rate, and have one seed


@dataclass(frozen=True)
class Job:
    """One trained model (or the start model) and the evaluations of it. Its name is that of its record."""

    phase: str  # of `PHASES`
    arm: str
    seed: int
    lr: float | None
    train: tuple[str, ...]  # overrides of iterpref.train; none for the start model
    evaluations: Mapping[str, tuple[str, ...]]  # overrides of iterpref.evaluate on a benchmark, by name
    held_out: Mapping[str, tuple[str, ...]]  # and on held-out pairs
    model: tuple[str, ...]  # overrides that name the start model
    settings: tuple[str, ...] = ()  # `train`, with {NAME} for the path of a file: equal wherever the files lie

    @property
    def name(self) -> str:
        if self.phase == START:
            return START
        which = f"lr{self.lr:g}" if self.phase in BY_LR else f"seed{self.seed}"
        return f"{self.phase}-{self.arm}-{which}"


@dataclass(frozen=True)
class Tune:
    """Learning rates that each arm is tried with, and the evaluation that chooses among them.

    What the choice meant is told afterwards by the evaluations `also`, at these rates and at those `beyond`.
    """

    lrs: tuple[float, ...]
    by: str
    seed: int = 0
    also: tuple[str, ...] = ()
    beyond: tuple[float, ...] = ()

    @property
    def all_lrs(self) -> tuple[float, ...]:
        """Those of tuning and those beyond, in order."""
        return tuple(sorted((*self.lrs, *self.beyond)))


@dataclass(frozen=True)
class Variant:
    """An arm with one change."""

    of: str
    change: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """See `configs/study/main.yaml`."""

    train: tuple[str, ...]
    arms: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    evaluations: Mapping[str, tuple[str, ...]]
    compared: tuple[str, ...]
    baseline: str
    tune: Tune
    held_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    variants: Mapping[str, Variant] = field(default_factory=dict)
    # What an arm or variant is compared with beside the baseline, or beside its arm.
    against: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    model: tuple[str, ...] = ()
    # Overrides of every training run, from the command line, and what {NAME} stands for in any override.
    extra: tuple[str, ...] = field(default=(), metadata={"file": False})
    files: Mapping[str, str] = field(default_factory=dict, metadata={"file": False})
    # Variants and held-out pairs that cannot be had, with the name of the file that was not given.
    left_out: Mapping[str, str] = field(default_factory=dict, metadata={"file": False})
    asked: frozenset[str] = field(default=frozenset(), metadata={"file": False})  # every {NAME} of the file

    def jobs(self, names: Sequence[str], phases: Sequence[str], lrs: Mapping[str, float]) -> Iterator[Job]:
        """In order. `lrs`: what tuning has chosen so far; arms without a rate, and their variants, have no job yet."""
        arms = [name for name in self.arms if name in names]
        if START in phases:
            yield Job(START, START, 0, None, (), self._all_filled(self.evaluations), {}, self._filled(self.model))
        if "tune" in phases:
            for lr in self.tune.lrs:
                for arm in arms:
                    yield self._at_rate("tune", arm, lr, [self.tune.by])
        if "main" in phases:
            for seed in self.seeds:
                for arm in arms:
                    if arm in lrs:
                        yield self._scored("main", arm, self.arms[arm], seed, lrs[arm])
        if "variants" in phases:
            for name, variant in self.variants.items():
                if name in names and variant.of in lrs:
                    overrides = (*self.arms[variant.of], *variant.change)
                    yield self._scored("variants", name, overrides, self.seeds[0], lrs[variant.of])
        if "rates" in phases and self.tune.also:
            for lr in self.tune.all_lrs:
                for arm in arms:
                    yield self._at_rate("rates", arm, lr, self.tune.also)

    def bases(self, name: str) -> tuple[str, ...]:
        """What the arm or variant is compared with."""
        own = self.variants[name].of if name in self.variants else self.baseline
        return tuple(base for base in (own, *self.against.get(name, ())) if base != name)

    def _at_rate(self, phase: str, arm: str, lr: float, scored: Sequence[str]) -> Job:
        return self._job(phase, arm, self.arms[arm], self.tune.seed, lr, scored, {})

    def _scored(self, phase: str, arm: str, overrides: tuple[str, ...], seed: int, lr: float) -> Job:
        return self._job(phase, arm, overrides, seed, lr, self.compared, self.held_out)

    def _job(
        self, phase: str, arm: str, overrides: tuple[str, ...], seed: int, lr: float, scored: Sequence[str],
        held_out: Mapping[str, tuple[str, ...]],
    ) -> Job:  # fmt: skip
        every = (*self.model, *self.train, *overrides, f"optim.lr={lr:g}", f"seed={seed}", *self.extra)
        # A variant may change what its arm or all arms say: the last word on a key holds.
        settings = tuple({line.partition("=")[0]: line for line in every}.values())
        evaluations = self._all_filled({name: self.evaluations[name] for name in scored})
        return Job(
            phase, arm, seed, lr, self._filled(settings), evaluations, self._all_filled(held_out), self._filled(self.model), settings
        )  # fmt: skip

    def _all_filled(self, named: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return {name: self._filled(lines) for name, lines in named.items()}

    def _filled(self, lines: Sequence[str]) -> tuple[str, ...]:
        # What stands behind -- on the command line is no template.
        return tuple(line if line in self.extra else line.format_map(self.files) for line in lines)

    def chosen(self, names: str | None) -> tuple[str, ...]:
        """Arms and variants of a comma-separated list, all without one; raises `UserError` for one that the study lacks."""
        known = (*self.arms, *self.variants)
        chosen = known if names is None else tuple(names.split(","))
        for name in chosen:
            if name in self.left_out:
                raise UserError(f"--arms {name}: it needs a file: add --file {self.left_out[name]}=PATH")
            if name not in known:
                raise UserError(f"--arms {name}: the study has {', '.join(known)}{nearest(name, known)}")
        return chosen
