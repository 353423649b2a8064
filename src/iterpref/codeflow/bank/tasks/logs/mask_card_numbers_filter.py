"""Write a logging filter `CardMask` for a ticket shop. Its `filter(record)` never drops a record. In the record's
message, with the arguments filled in, every run of 13 to 16 digits standing alone (not part of a longer run of
digits) is replaced by asterisks except for its last four digits, keeping its length. Afterwards the record's `msg`
holds the finished text and its `args` is None, also when nothing was masked. The attribute `masked`, starting at 0,
counts the numbers masked by this filter so far."""

import logging
import re

CARD = re.compile(r"(?<!\d)\d{13,16}(?!\d)")


class CardMask(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self.masked = 0

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = CARD.sub(self._hide, record.getMessage())
        record.args = None
        return True

    def _hide(self, match: re.Match[str]) -> str:
        self.masked += 1
        number = match.group()
        return "*" * (len(number) - 4) + number[-4:]


# --- tests ---

import logging
import unittest


def masked(mask: CardMask, message: str, *args: object) -> str:
    record = logging.LogRecord("shop", logging.INFO, "pay.py", 3, message, args, None)
    assert mask.filter(record) is True
    assert record.args is None
    assert record.msg == record.getMessage()
    return record.getMessage()


class TestCardMask(unittest.TestCase):
    def test_sixteen_digits_keep_the_last_four(self) -> None:
        self.assertEqual(masked(CardMask(), "paid with 1234567812345678"), "paid with ************5678")

    def test_thirteen_digits_are_masked_and_twelve_are_not(self) -> None:
        self.assertEqual(masked(CardMask(), "no 1234567890123"), "no *********0123")
        self.assertEqual(masked(CardMask(), "no 123456789012"), "no 123456789012")

    def test_seventeen_digits_are_left_alone(self) -> None:
        mask = CardMask()
        self.assertEqual(masked(mask, "order 12345678123456789"), "order 12345678123456789")
        self.assertEqual(mask.masked, 0)

    def test_numbers_in_arguments_are_masked(self) -> None:
        self.assertEqual(masked(CardMask(), "%s paid %d", "Ann", 4000111122223), "Ann paid *********2223")

    def test_every_number_of_a_message_counts(self) -> None:
        mask = CardMask()
        self.assertEqual(masked(mask, "1111222233334444,55556666777788"), "************4444,**********7788")
        self.assertEqual(mask.masked, 2)

    def test_the_counter_goes_on_over_records(self) -> None:
        mask = CardMask()
        self.assertEqual(mask.masked, 0)
        for expected in (1, 2, 3):
            masked(mask, "card 1234567812345678")
            self.assertEqual(mask.masked, expected)

    def test_plain_messages_pass_unchanged(self) -> None:
        self.assertEqual(masked(CardMask(), "row %d of %d", 3, 20), "row 3 of 20")
        self.assertEqual(masked(CardMask(), ""), "")
