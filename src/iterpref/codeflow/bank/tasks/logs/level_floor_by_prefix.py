"""Write `is_loud_enough(name, level, floors, default="WARNING")`. `floors` maps dotted logger names such as
"hub.radio" to level names; a floor applies to its own name and to all below it ("hub.radio.zigbee", not
"hub.radios"), "" applies to every name, and the longest fitting one wins; without any, `default` is the floor.
Return True when `level` is at or above the floor. Levels are DEBUG < INFO < WARNING < ERROR in any letter case;
another `level` or another floor that applies raises ValueError."""

LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"]


def is_loud_enough(name: str, level: str, floors: dict[str, str], default: str = "WARNING") -> bool:
    floor = floors.get("", default)
    prefix = name
    while prefix:
        if prefix in floors:
            floor = floors[prefix]
            break
        prefix = prefix.rpartition(".")[0]
    return _rank(level) >= _rank(floor)


def _rank(level: str) -> int:
    if level.upper() not in LEVELS:
        raise ValueError(f"unknown level: {level}")
    return LEVELS.index(level.upper())


# --- tests ---

import unittest

FLOORS = {"hub": "error", "hub.radio": "DEBUG", "hub.radio.zigbee.link": "INFO"}


class TestIsLoudEnough(unittest.TestCase):
    def test_the_default_floor_is_warning(self) -> None:
        answers = [is_loud_enough("door", level, {}) for level in ("DEBUG", "INFO", "WARNING", "ERROR")]
        self.assertEqual(answers, [False, False, True, True])

    def test_an_own_entry_counts(self) -> None:
        self.assertTrue(is_loud_enough("hub", "ERROR", FLOORS))
        self.assertFalse(is_loud_enough("hub", "WARNING", FLOORS))

    def test_a_floor_reaches_down(self) -> None:
        self.assertFalse(is_loud_enough("hub.heating.boiler", "WARNING", FLOORS))
        self.assertTrue(is_loud_enough("hub.radio.zigbee", "DEBUG", FLOORS))

    def test_the_longest_name_wins(self) -> None:
        self.assertFalse(is_loud_enough("hub.radio.zigbee.link", "DEBUG", FLOORS))
        self.assertTrue(is_loud_enough("hub.radio.zigbee.link.up", "INFO", FLOORS))

    def test_half_a_part_does_not_fit(self) -> None:
        self.assertFalse(is_loud_enough("hub.radios", "WARNING", FLOORS))
        self.assertTrue(is_loud_enough("hubcap", "WARNING", FLOORS))
        self.assertFalse(is_loud_enough("hubcap", "INFO", FLOORS))

    def test_the_empty_entry_replaces_the_default(self) -> None:
        self.assertTrue(is_loud_enough("door", "INFO", {"": "INFO", "hub": "ERROR"}, "ERROR"))
        self.assertFalse(is_loud_enough("hub.x", "INFO", {"": "INFO", "hub": "ERROR"}, "DEBUG"))

    def test_letter_case_does_not_matter_for_levels(self) -> None:
        self.assertTrue(is_loud_enough("door", "info", {}, "Info"))
        self.assertFalse(is_loud_enough("door", "debug", {}, "Info"))

    def test_unknown_levels_raise(self) -> None:
        with self.assertRaises(ValueError):
            is_loud_enough("door", "LOUD", {})
        with self.assertRaises(ValueError):
            is_loud_enough("hub.x", "ERROR", {"hub": "quiet"})
        self.assertTrue(is_loud_enough("door", "ERROR", {"hub": "quiet"}))
