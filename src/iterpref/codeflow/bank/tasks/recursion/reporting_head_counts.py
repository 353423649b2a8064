"""Write `head_counts(managers)`. `managers` maps every employee to their manager, or to None at the top; there
may be several tops. Return a dict from every employee, sorted by name, to how many people report to them
directly or through others, not counting themselves. A manager who is not a key of `managers` raises KeyError.
There are no cycles."""


def head_counts(managers: dict[str, str | None]) -> dict[str, int]:
    reports: dict[str, list[str]] = {name: [] for name in managers}
    for name, manager in managers.items():
        if manager is not None:
            reports[manager].append(name)

    def below(name: str) -> int:
        return sum(1 + below(report) for report in reports[name])

    return {name: below(name) for name in sorted(managers)}


# --- tests ---

import unittest


class TestReportingHeadCounts(unittest.TestCase):
    def test_one_person(self) -> None:
        self.assertEqual(head_counts({"Mo": None}), {"Mo": 0})

    def test_direct_reports(self) -> None:
        self.assertEqual(head_counts({"Mo": None, "Al": "Mo", "Bea": "Mo"}), {"Al": 0, "Bea": 0, "Mo": 2})

    def test_indirect_reports_count(self) -> None:
        managers = {"Mo": None, "Al": "Mo", "Bea": "Al", "Cy": "Bea", "Di": "Al"}
        self.assertEqual(head_counts(managers), {"Al": 3, "Bea": 1, "Cy": 0, "Di": 0, "Mo": 4})

    def test_several_tops(self) -> None:
        self.assertEqual(head_counts({"Mo": None, "Zoe": None, "Al": "Zoe"}), {"Al": 0, "Mo": 0, "Zoe": 1})

    def test_sorted_by_name(self) -> None:
        self.assertEqual(list(head_counts({"Zoe": None, "Al": "Zoe", "Mo": "Al"})), ["Al", "Mo", "Zoe"])

    def test_manager_listed_after_the_report(self) -> None:
        self.assertEqual(head_counts({"Al": "Zoe", "Zoe": None}), {"Al": 0, "Zoe": 1})

    def test_empty_name_can_be_a_manager(self) -> None:
        self.assertEqual(head_counts({"": None, "Al": ""}), {"": 1, "Al": 0})

    def test_unknown_manager_raises(self) -> None:
        with self.assertRaises(KeyError):
            head_counts({"Al": "Nobody"})

    def test_nobody(self) -> None:
        self.assertEqual(head_counts({}), {})
