"""Write a generator `locker_codes(wings, per_wing, reserved=())` that yields locker codes such as "N01": each letter
of the string `wings` in order, followed by a two-digit number from 01 to `per_wing`. Codes in `reserved` are left
out, whatever their letter case. Codes are always upper case, even if `wings` is lower case. `per_wing` must be
between 0 and 99 inclusive, otherwise ValueError is raised when iteration starts; 0 lockers or no wings yield
nothing."""

from collections.abc import Iterable, Iterator


def locker_codes(wings: str, per_wing: int, reserved: Iterable[str] = ()) -> Iterator[str]:
    if not 0 <= per_wing <= 99:
        raise ValueError("a wing has 0 to 99 lockers")
    taken = {code.upper() for code in reserved}
    for wing in wings.upper():
        for number in range(1, per_wing + 1):
            code = f"{wing}{number:02d}"
            if code not in taken:
                yield code


# --- tests ---

import unittest


class TestLockerCodes(unittest.TestCase):
    def test_wings_in_order_numbers_from_one(self) -> None:
        self.assertEqual(list(locker_codes("NA", 2)), ["N01", "N02", "A01", "A02"])

    def test_codes_are_upper_case(self) -> None:
        self.assertEqual(list(locker_codes("b", 1)), ["B01"])

    def test_reserved_codes_are_left_out(self) -> None:
        self.assertEqual(list(locker_codes("AB", 2, ["A02", "B01"])), ["A01", "B02"])

    def test_reserved_codes_match_in_any_case(self) -> None:
        self.assertEqual(list(locker_codes("A", 3, ["a01", "a03"])), ["A02"])

    def test_two_digits_up_to_99(self) -> None:
        codes = list(locker_codes("Z", 99))
        self.assertEqual(len(codes), 99)
        self.assertEqual([codes[8], codes[9], codes[-1]], ["Z09", "Z10", "Z99"])

    def test_nothing_to_number(self) -> None:
        self.assertEqual(list(locker_codes("A", 0)), [])
        self.assertEqual(list(locker_codes("", 5)), [])

    def test_numbers_out_of_range_are_refused(self) -> None:
        for count in (-1, 100):
            with self.assertRaises(ValueError):
                next(locker_codes("A", count))

    def test_reserved_may_be_a_one_shot_iterator(self) -> None:
        self.assertEqual(list(locker_codes("AB", 1, iter(["B01"]))), ["A01"])
