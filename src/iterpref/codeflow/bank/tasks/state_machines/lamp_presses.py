"""Write `lamp_levels(presses)` for a bedside lamp with one touch sensor. `presses` holds press times in milliseconds;
return the list of levels after each press. The lamp starts at 0. A press of less than 400 ms switches it off if it is
on, else on at the level it last had (100 if it was never on). A longer press on a lit lamp goes to the next of 100,
60, 30 and 100 again; on a dark lamp it means level 30. Times below 1 raise ValueError."""

from collections.abc import Iterable


def lamp_levels(presses: Iterable[int]) -> list[int]:
    dimmer = {100: 60, 60: 30, 30: 100}
    level, last = 0, 100
    levels: list[int] = []
    for milliseconds in presses:
        if milliseconds < 1:
            raise ValueError("a press lasts at least a millisecond")
        if milliseconds >= 400:
            level = dimmer.get(level, 30)
        else:
            level = last if level == 0 else 0
        last = level or last
        levels.append(level)
    return levels


# --- tests ---

import unittest


class TestLampLevels(unittest.TestCase):
    def test_short_presses_switch_on_and_off(self) -> None:
        self.assertEqual(lamp_levels([50, 50, 50]), [100, 0, 100])

    def test_long_presses_go_round_the_levels(self) -> None:
        self.assertEqual(lamp_levels([50, 500, 500, 500, 500]), [100, 60, 30, 100, 60])

    def test_a_press_is_long_from_400_on(self) -> None:
        self.assertEqual(lamp_levels([50, 400]), [100, 60])
        self.assertEqual(lamp_levels([50, 399]), [100, 0])

    def test_a_long_press_on_a_dark_lamp(self) -> None:
        self.assertEqual(lamp_levels([900, 900]), [30, 100])
        self.assertEqual(lamp_levels([50, 50, 900]), [100, 0, 30])

    def test_the_last_level_comes_back(self) -> None:
        self.assertEqual(lamp_levels([50, 500, 50, 50]), [100, 60, 0, 60])
        self.assertEqual(lamp_levels([500, 50, 50]), [30, 0, 30])

    def test_switching_off_keeps_the_last_level_for_long(self) -> None:
        self.assertEqual(lamp_levels([50, 500, 50, 50, 50, 50]), [100, 60, 0, 60, 0, 60])

    def test_times_below_one_are_refused(self) -> None:
        self.assertEqual(lamp_levels([1]), [100])
        for milliseconds in (0, -20):
            with self.assertRaises(ValueError):
                lamp_levels([50, milliseconds])

    def test_no_presses_no_levels(self) -> None:
        self.assertEqual(lamp_levels([]), [])
