"""Write `pairing_result(messages)` that checks a log of (sender, message) tuples between "remote" and "drone". The
expected order is: remote HELLO, drone OFFER, remote ACCEPT, drone READY. After a drone BUSY in place of OFFER, the
remote starts again with HELLO; the third BUSY ends the pairing with "gave up". "PING" from either side is always
ignored. Return "paired" right after READY, "failed at i" with the index of the first unexpected entry, or
"incomplete" if the log ends too early. Entries after the end do not matter."""

from collections.abc import Sequence

STEPS = (("remote", "HELLO"), ("drone", "OFFER"), ("remote", "ACCEPT"), ("drone", "READY"))


def pairing_result(messages: Sequence[tuple[str, str]]) -> str:
    step = 0
    busy = 0
    for index, (sender, message) in enumerate(messages):
        if message == "PING":
            continue
        if (sender, message) == STEPS[step]:
            step += 1
            if step == len(STEPS):
                return "paired"
        elif step == 1 and (sender, message) == ("drone", "BUSY"):
            busy += 1
            if busy == 3:
                return "gave up"
            step = 0
        else:
            return f"failed at {index}"
    return "incomplete"


# --- tests ---

import unittest

R, D = "remote", "drone"
GOOD = [(R, "HELLO"), (D, "OFFER"), (R, "ACCEPT"), (D, "READY")]
REFUSED = [(R, "HELLO"), (D, "BUSY")]


class TestPairingResult(unittest.TestCase):
    def test_the_expected_order_pairs(self) -> None:
        self.assertEqual(pairing_result(GOOD), "paired")

    def test_every_shorter_log_is_incomplete(self) -> None:
        for length in range(4):
            self.assertEqual(pairing_result(GOOD[:length]), "incomplete")

    def test_entries_after_the_end_do_not_matter(self) -> None:
        self.assertEqual(pairing_result([*GOOD, (D, "BUSY")]), "paired")
        self.assertEqual(pairing_result(REFUSED * 3 + [(D, "READY")]), "gave up")

    def test_the_first_unexpected_entry_fails(self) -> None:
        self.assertEqual(pairing_result([(D, "OFFER"), *GOOD]), "failed at 0")
        self.assertEqual(pairing_result([GOOD[0], GOOD[0], GOOD[1]]), "failed at 1")
        self.assertEqual(pairing_result([*GOOD[:3], (D, "OFFER")]), "failed at 3")

    def test_the_sender_counts(self) -> None:
        self.assertEqual(pairing_result([(D, "HELLO")]), "failed at 0")
        self.assertEqual(pairing_result([(R, "HELLO"), (R, "BUSY")]), "failed at 1")

    def test_after_busy_the_remote_starts_again(self) -> None:
        self.assertEqual(pairing_result(REFUSED + GOOD), "paired")
        self.assertEqual(pairing_result(REFUSED * 2 + GOOD), "paired")
        self.assertEqual(pairing_result([*REFUSED, (D, "OFFER")]), "failed at 2")

    def test_the_third_busy_gives_up(self) -> None:
        self.assertEqual(pairing_result(REFUSED * 2), "incomplete")
        self.assertEqual(pairing_result(REFUSED * 3), "gave up")

    def test_busy_only_in_place_of_an_offer(self) -> None:
        self.assertEqual(pairing_result([(D, "BUSY")]), "failed at 0")
        self.assertEqual(pairing_result([*GOOD[:3], (D, "BUSY")]), "failed at 3")

    def test_pings_are_ignored_but_indexed(self) -> None:
        self.assertEqual(pairing_result([(D, "PING"), GOOD[0], (R, "PING"), *GOOD[1:]]), "paired")
        self.assertEqual(pairing_result([(R, "PING"), (D, "PING"), (D, "READY")]), "failed at 2")

    def test_an_empty_log_is_incomplete(self) -> None:
        self.assertEqual(pairing_result([]), "incomplete")
