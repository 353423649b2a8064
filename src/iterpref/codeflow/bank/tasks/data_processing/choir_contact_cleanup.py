"""Write `clean_contacts(rows)` for a choir. Each row is a dict with "name", "email" and "updated" (an int). Normalise
the email by stripping white space and lower-casing, the name by stripping and joining its words with single spaces.
Drop rows whose email then is empty or does not hold exactly one "@". For each email keep only the row with the
largest "updated", on a tie the later one in the list. Return new dicts with the same three keys, sorted by email. The
rows stay unchanged."""

from typing import Any


def clean_contacts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        email = row["email"].strip().lower()
        if email.count("@") != 1:
            continue
        kept = best.get(email)
        if kept is None or row["updated"] >= kept["updated"]:
            name = " ".join(row["name"].split())
            best[email] = {"name": name, "email": email, "updated": row["updated"]}
    return [best[email] for email in sorted(best)]


# --- tests ---

import unittest
from typing import Any


def contact(name: str, email: str, updated: int) -> dict[str, Any]:
    return {"name": name, "email": email, "updated": updated}


class TestChoirContactCleanup(unittest.TestCase):
    def test_no_rows(self) -> None:
        self.assertEqual(clean_contacts([]), [])

    def test_name_and_email_are_normalised(self) -> None:
        rows = [contact("  Mia \t de  Wit ", " Mia@Choir.ORG\n", 1)]
        self.assertEqual(clean_contacts(rows), [contact("Mia de Wit", "mia@choir.org", 1)])

    def test_senseless_emails_are_dropped(self) -> None:
        rows = [contact("A", "", 1), contact("B", "  ", 1), contact("C", "c.at.d", 1), contact("D", "d@@e", 1)]
        self.assertEqual(clean_contacts([*rows, contact("E", "e@f", 0)]), [contact("E", "e@f", 0)])

    def test_latest_row_wins_wherever_it_stands(self) -> None:
        rows = [contact("Old", "x@y", 3), contact("New", "X@y", 9), contact("Mid", "x@Y ", 5)]
        self.assertEqual(clean_contacts(rows), [contact("New", "x@y", 9)])

    def test_tie_keeps_the_later_row(self) -> None:
        rows = [contact("First", "x@y", 3), contact("Second", "x@y", 3)]
        self.assertEqual(clean_contacts(rows), [contact("Second", "x@y", 3)])

    def test_sorted_by_email(self) -> None:
        rows = [contact("A", "zed@y", 1), contact("B", "Amy@y", 2), contact("C", "moe@y", 3)]
        self.assertEqual([row["email"] for row in clean_contacts(rows)], ["amy@y", "moe@y", "zed@y"])

    def test_rows_are_unchanged_and_other_keys_dropped(self) -> None:
        rows = [{**contact(" Mia ", "M@y", 1), "voice": "alto"}]
        self.assertEqual(clean_contacts(rows), [contact("Mia", "m@y", 1)])
        self.assertEqual(rows, [{**contact(" Mia ", "M@y", 1), "voice": "alto"}])
