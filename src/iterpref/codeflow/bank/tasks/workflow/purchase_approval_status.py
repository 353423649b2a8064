"""Write `approval_status(required, decisions)` for a purchase request. `required` is the list of approver names in
order; `decisions` maps a name to "yes" or "no". Return ("rejected", name) for the first required approver who said
no, wherever the others stand; otherwise ("waiting", name) for the first one without a decision; otherwise
("approved", None). Decisions of other people are ignored. Any other decision value of a required approver raises
ValueError. With nobody required, the request is approved."""


def approval_status(required: list[str], decisions: dict[str, str]) -> tuple[str, str | None]:
    missing: str | None = None
    refused: str | None = None
    for name in required:
        decision = decisions.get(name)
        if decision is None:
            if missing is None:
                missing = name
        elif decision == "no":
            if refused is None:
                refused = name
        elif decision != "yes":
            raise ValueError(f"unknown decision {decision!r} of {name}")
    if refused is not None:
        return "rejected", refused
    if missing is not None:
        return "waiting", missing
    return "approved", None


# --- tests ---

import unittest


class TestPurchaseApprovalStatus(unittest.TestCase):
    def test_everybody_agrees(self) -> None:
        self.assertEqual(approval_status(["Ada", "Ben"], {"Ben": "yes", "Ada": "yes"}), ("approved", None))

    def test_nobody_required_is_approved(self) -> None:
        self.assertEqual(approval_status([], {"Ada": "no"}), ("approved", None))

    def test_first_missing_approver_is_named(self) -> None:
        self.assertEqual(approval_status(["Ada", "Ben", "Cy"], {"Ada": "yes"}), ("waiting", "Ben"))

    def test_a_no_wins_over_a_missing_decision(self) -> None:
        self.assertEqual(approval_status(["Ada", "Ben", "Cy"], {"Cy": "no"}), ("rejected", "Cy"))

    def test_first_refusal_is_named(self) -> None:
        self.assertEqual(approval_status(["Ada", "Ben", "Cy"], {"Cy": "no", "Ben": "no"}), ("rejected", "Ben"))

    def test_strangers_are_ignored(self) -> None:
        self.assertEqual(approval_status(["Ada"], {"Ada": "yes", "Zoe": "no", "Yan": "perhaps"}), ("approved", None))

    def test_unknown_value_raises_even_after_a_refusal(self) -> None:
        with self.assertRaises(ValueError):
            approval_status(["Ada", "Ben"], {"Ada": "no", "Ben": "maybe"})
