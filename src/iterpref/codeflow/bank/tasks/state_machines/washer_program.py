"""Write `washer_phase(program, minute, paused=())` telling what a washing machine does. `program` is a list of
(phase, minutes) pairs, run one after another from minute 0. Each pair (start, end) in `paused` stops the program from
clock minute `start` up to, not including, `end`. Return "paused" if `minute` lies in a pause, else the running phase,
or "done" once all phases are over. Phases of 0 minutes never run. Pauses never overlap and come in any order. A
negative minute raises ValueError; an empty program is done at once."""

from collections.abc import Iterable, Sequence


def washer_phase(program: Sequence[tuple[str, int]], minute: int, paused: Iterable[tuple[int, int]] = ()) -> str:
    if minute < 0:
        raise ValueError("minute must not be negative")
    left = minute
    for start, end in paused:
        if start <= minute < end:
            return "paused"
        if end <= minute:
            left -= end - start
    for phase, minutes in program:
        if left < minutes:
            return phase
        left -= minutes
    return "done"


# --- tests ---

import unittest

PROGRAM = [("wash", 30), ("rinse", 10), ("spin", 5)]


class TestWasherPhase(unittest.TestCase):
    def test_the_first_phase_begins_at_zero(self) -> None:
        self.assertEqual(washer_phase(PROGRAM, 0), "wash")

    def test_phase_boundaries(self) -> None:
        phases = [washer_phase(PROGRAM, minute) for minute in (29, 30, 39, 40, 44, 45, 99)]
        self.assertEqual(phases, ["wash", "rinse", "rinse", "spin", "spin", "done", "done"])

    def test_pause_boundaries(self) -> None:
        phases = [washer_phase(PROGRAM, minute, [(10, 13)]) for minute in (9, 10, 12, 13)]
        self.assertEqual(phases, ["wash", "paused", "paused", "wash"])

    def test_a_pause_shifts_later_phases(self) -> None:
        phases = [washer_phase(PROGRAM, minute, [(10, 13)]) for minute in (32, 33, 47, 48)]
        self.assertEqual(phases, ["wash", "rinse", "spin", "done"])

    def test_a_pause_just_over_counts(self) -> None:
        self.assertEqual(washer_phase(PROGRAM, 30, [(29, 30)]), "wash")

    def test_pauses_in_any_order(self) -> None:
        pauses = [(38, 40), (5, 10)]
        phases = [washer_phase(PROGRAM, minute, pauses) for minute in (7, 34, 35, 38, 46, 47)]
        self.assertEqual(phases, ["paused", "wash", "rinse", "paused", "rinse", "spin"])

    def test_a_pause_to_come_shifts_nothing(self) -> None:
        self.assertEqual(washer_phase(PROGRAM, 30, [(31, 50)]), "rinse")

    def test_a_pause_after_the_end_is_still_a_pause(self) -> None:
        self.assertEqual(washer_phase(PROGRAM, 60, [(60, 61)]), "paused")
        self.assertEqual(washer_phase(PROGRAM, 61, [(60, 61)]), "done")

    def test_phases_of_zero_minutes_never_run(self) -> None:
        self.assertEqual(washer_phase([("soak", 0), ("wash", 2)], 0), "wash")

    def test_an_empty_program_is_done(self) -> None:
        self.assertEqual(washer_phase([], 0), "done")

    def test_negative_minutes_are_refused(self) -> None:
        with self.assertRaises(ValueError):
            washer_phase(PROGRAM, -1)
