"""Write `redact_account_numbers(text, keep=4)` for support tickets. An account number is a run of at least
eight digits; the digits may be separated by single spaces or single hyphens, and no letter, digit or underscore
touches the run's ends. Replace each of its digits by "*", except the last `keep` ones; separators stay. Shorter
runs and all other text stay as they are. With `keep=0` every digit is hidden; a negative `keep` raises
ValueError."""

import re

ACCOUNT = re.compile(r"\b\d(?:[ -]?\d){7,}\b")


def redact_account_numbers(text: str, keep: int = 4) -> str:
    if keep < 0:
        raise ValueError("keep must not be negative")

    def mask(match: re.Match[str]) -> str:
        hidden = sum(char.isdigit() for char in match.group()) - keep
        masked = []
        for char in match.group():
            if char.isdigit() and hidden > 0:
                hidden -= 1
                char = "*"
            masked.append(char)
        return "".join(masked)

    return ACCOUNT.sub(mask, text)


# --- tests ---

import unittest


class TestRedactAccountNumbers(unittest.TestCase):
    def test_last_four_stay(self) -> None:
        self.assertEqual(redact_account_numbers("Pay to 1234567890, please."), "Pay to ******7890, please.")

    def test_separators_stay(self) -> None:
        self.assertEqual(redact_account_numbers("1234 5678-9012"), "**** ****-9012")

    def test_eight_digits_count_and_seven_do_not(self) -> None:
        self.assertEqual(redact_account_numbers("12345678"), "****5678")
        self.assertEqual(redact_account_numbers("1234567"), "1234567")

    def test_double_space_splits_the_run(self) -> None:
        self.assertEqual(redact_account_numbers("1234  5678"), "1234  5678")

    def test_touching_letters_or_underscores_prevent_it(self) -> None:
        self.assertEqual(redact_account_numbers("X12345678 12345678_a"), "X12345678 12345678_a")

    def test_several_numbers(self) -> None:
        self.assertEqual(redact_account_numbers("12345678, 87654321"), "****5678, ****4321")

    def test_keep_is_respected(self) -> None:
        self.assertEqual(redact_account_numbers("1234 5678", keep=6), "**34 5678")
        self.assertEqual(redact_account_numbers("1234 5678", keep=0), "**** ****")
        self.assertEqual(redact_account_numbers("1234 5678", keep=20), "1234 5678")

    def test_empty_text_and_negative_keep(self) -> None:
        self.assertEqual(redact_account_numbers(""), "")
        with self.assertRaises(ValueError):
            redact_account_numbers("12345678", keep=-1)
