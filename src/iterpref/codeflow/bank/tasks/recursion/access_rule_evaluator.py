"""Write `is_allowed(rule, badge)` for a building. A rule is True, False, or a dict with exactly one key:
{"all": [rules]} holds if every rule holds (also for none), {"any": [rules]} if at least one holds (not for
none), {"not": rule} reverses, {"has": name} holds if `name` is in `badge["groups"]`, {"min_level": n} if
`badge["level"]` is at least n. A missing "groups" counts as empty, a missing "level" as 0. Anything else raises
ValueError, but rules after the deciding one in a list are not looked at."""

from typing import Any


def is_allowed(rule: Any, badge: dict[str, Any]) -> bool:
    if isinstance(rule, bool):
        return rule
    if not isinstance(rule, dict) or len(rule) != 1:
        raise ValueError(f"not a rule: {rule!r}")
    [(kind, content)] = rule.items()
    if kind == "all":
        return all(is_allowed(part, badge) for part in content)
    if kind == "any":
        return any(is_allowed(part, badge) for part in content)
    if kind == "not":
        return not is_allowed(content, badge)
    if kind == "has":
        return content in badge.get("groups", [])
    if kind == "min_level":
        return badge.get("level", 0) >= content
    raise ValueError(f"unknown kind of rule: {kind}")


# --- tests ---

import unittest

BADGE = {"groups": ["lab", "staff"], "level": 3}


class TestAccessRuleEvaluator(unittest.TestCase):
    def test_constants(self) -> None:
        self.assertIs(is_allowed(True, BADGE), True)
        self.assertIs(is_allowed(False, BADGE), False)

    def test_groups(self) -> None:
        self.assertIs(is_allowed({"has": "lab"}, BADGE), True)
        self.assertIs(is_allowed({"has": "la"}, BADGE), False)

    def test_level_on_both_sides_of_the_limit(self) -> None:
        self.assertIs(is_allowed({"min_level": 3}, BADGE), True)
        self.assertIs(is_allowed({"min_level": 4}, BADGE), False)

    def test_all_and_any(self) -> None:
        mixed = [{"has": "guest"}, {"has": "staff"}]
        self.assertIs(is_allowed({"all": mixed}, BADGE), False)
        self.assertIs(is_allowed({"any": mixed}, BADGE), True)
        self.assertIs(is_allowed({"all": mixed[1:]}, BADGE), True)
        self.assertIs(is_allowed({"any": mixed[:1]}, BADGE), False)

    def test_empty_lists(self) -> None:
        self.assertIs(is_allowed({"all": []}, BADGE), True)
        self.assertIs(is_allowed({"any": []}, BADGE), False)

    def test_nested_rules(self) -> None:
        rule = {"all": [{"not": {"any": [{"has": "guest"}, {"min_level": 5}]}}, {"any": [False, {"has": "lab"}]}]}
        self.assertIs(is_allowed(rule, BADGE), True)
        self.assertIs(is_allowed({"not": rule}, BADGE), False)

    def test_missing_fields_have_defaults(self) -> None:
        self.assertIs(is_allowed({"has": "lab"}, {}), False)
        self.assertIs(is_allowed({"min_level": 0}, {}), True)
        self.assertIs(is_allowed({"min_level": 1}, {}), False)

    def test_bad_rules_raise(self) -> None:
        for rule in (None, "all", 1, [True], {}, {"all": [], "any": []}, {"or": []}, {"not": None}, {"all": [7]}):
            with self.subTest(rule=rule), self.assertRaises(ValueError):
                is_allowed(rule, BADGE)

    def test_rules_after_the_deciding_one_are_not_looked_at(self) -> None:
        self.assertIs(is_allowed({"any": [True, "nonsense"]}, BADGE), True)
        self.assertIs(is_allowed({"all": [False, "nonsense"]}, BADGE), False)
