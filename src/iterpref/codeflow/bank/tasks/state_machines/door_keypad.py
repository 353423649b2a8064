"""Write `keypad_opens(keys, code)` for a door keypad. `keys` is a string of digits, "*" to clear the entry and "#" to
confirm. On "#" the door opens if the digits entered since the last clear or confirm equal `code`; the entry is
cleared either way. Digits beyond 8 in one entry are ignored. Three wrong confirmations in a row jam the keypad: all
later keys are ignored. A "#" with nothing entered counts as nothing. Return how often the door opened. Any other key,
jammed or not, raises ValueError."""


def keypad_opens(keys: str, code: str) -> int:
    opened = 0
    wrong = 0
    entry = ""
    for key in keys:
        if key not in "0123456789*#":
            raise ValueError(f"there is no key {key!r}")
        if wrong == 3:
            continue
        if key == "*":
            entry = ""
        elif key != "#":
            entry = (entry + key)[:8]
        elif entry:
            if entry == code:
                opened += 1
                wrong = 0
            else:
                wrong += 1
            entry = ""
    return opened


# --- tests ---

import unittest


class TestKeypadOpens(unittest.TestCase):
    def test_the_right_code_opens(self) -> None:
        self.assertEqual(keypad_opens("4711#", "4711"), 1)
        self.assertEqual(keypad_opens("4711#4711#", "4711"), 2)

    def test_without_confirming_it_stays_shut(self) -> None:
        self.assertEqual(keypad_opens("4711", "4711"), 0)
        self.assertEqual(keypad_opens("", "4711"), 0)

    def test_longer_and_shorter_entries_are_wrong(self) -> None:
        self.assertEqual(keypad_opens("47112#", "4711"), 0)
        self.assertEqual(keypad_opens("471#", "4711"), 0)
        self.assertEqual(keypad_opens("04711#", "4711"), 0)

    def test_star_clears_the_entry(self) -> None:
        self.assertEqual(keypad_opens("99*4711#", "4711"), 1)
        self.assertEqual(keypad_opens("47*11#", "4711"), 0)

    def test_confirming_clears_the_entry(self) -> None:
        self.assertEqual(keypad_opens("47#11#4711#", "4711"), 1)
        self.assertEqual(keypad_opens("4711##", "4711"), 1)

    def test_digits_beyond_eight_are_ignored(self) -> None:
        self.assertEqual(keypad_opens("1234567899#", "12345678"), 1)
        self.assertEqual(keypad_opens("12345678#", "1234567"), 0)
        self.assertEqual(keypad_opens("1234567890#", "123456789"), 0)

    def test_three_wrong_confirmations_jam(self) -> None:
        self.assertEqual(keypad_opens("1#2#4711#", "4711"), 1)
        self.assertEqual(keypad_opens("1#2#3#4711#", "4711"), 0)
        self.assertEqual(keypad_opens("4711#1#2#3#4711#", "4711"), 1)

    def test_opening_forgets_wrong_confirmations(self) -> None:
        self.assertEqual(keypad_opens("1#2#4711#1#2#4711#", "4711"), 2)

    def test_clearing_does_not_forget_them(self) -> None:
        self.assertEqual(keypad_opens("1#2#*3#4711#", "4711"), 0)

    def test_empty_confirmations_do_not_count(self) -> None:
        self.assertEqual(keypad_opens("####4711#", "4711"), 1)
        self.assertEqual(keypad_opens("1#2##*#4711#", "4711"), 1)

    def test_other_keys_raise_even_when_jammed(self) -> None:
        for keys in ("47a", "1#2#3#x", " "):
            with self.assertRaises(ValueError):
                keypad_opens(keys, "4711")
