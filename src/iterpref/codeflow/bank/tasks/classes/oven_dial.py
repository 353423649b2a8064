"""Write a class `OvenDial` for an oven's control panel; a new dial is off. The property `target` can be set to a
whole number of degrees: it is rounded down to a multiple of 5 and then limited to 50 up to 250. Setting 0 turns the
oven off, and `target` is 0 then. A negative number raises ValueError and leaves the dial as it was."""


class OvenDial:
    def __init__(self) -> None:
        self._target = 0

    @property
    def target(self) -> int:
        return self._target

    @target.setter
    def target(self, degrees: int) -> None:
        if degrees < 0:
            raise ValueError("degrees must not be negative")
        if degrees == 0:
            self._target = 0
        else:
            self._target = min(max(degrees // 5 * 5, 50), 250)


# --- tests ---

import unittest


def _set(dial: OvenDial, degrees: int) -> int:
    dial.target = degrees
    return dial.target


class TestOvenDial(unittest.TestCase):
    def test_a_new_dial_is_off(self) -> None:
        self.assertEqual(OvenDial().target, 0)

    def test_rounds_down_to_a_step(self) -> None:
        self.assertEqual([_set(OvenDial(), degrees) for degrees in (179, 180, 184, 185)], [175, 180, 180, 185])

    def test_lowest_target(self) -> None:
        self.assertEqual([_set(OvenDial(), degrees) for degrees in (1, 49, 54, 55)], [50, 50, 50, 55])

    def test_highest_target(self) -> None:
        self.assertEqual([_set(OvenDial(), degrees) for degrees in (249, 250, 256, 900)], [245, 250, 250, 250])

    def test_zero_turns_off(self) -> None:
        dial = OvenDial()
        _set(dial, 200)
        self.assertEqual(_set(dial, 0), 0)

    def test_negative_degrees_leave_the_dial(self) -> None:
        dial = OvenDial()
        _set(dial, 200)
        for degrees in (-1, -50):
            with self.assertRaises(ValueError):
                dial.target = degrees
        self.assertEqual(dial.target, 200)

    def test_dials_are_separate(self) -> None:
        first, second = OvenDial(), OvenDial()
        _set(first, 100)
        self.assertEqual((first.target, second.target), (100, 0))
