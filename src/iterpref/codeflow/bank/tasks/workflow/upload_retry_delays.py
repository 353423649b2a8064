"""Write `retry_delays(policy, attempts)` for a photo uploader. `policy` has the integer keys "first" (seconds before
the first retry) and "factor" and optionally "cap" (longest delay). Return the list of delays before each retry: the
first attempt needs none, so `attempts` attempts give attempts - 1 delays, each the previous times the factor, never
above the cap when there is one. The growth goes on from the uncapped value. Fewer than one attempt, a negative
"first" or a factor below 1 raise ValueError."""


def retry_delays(policy: dict[str, int], attempts: int) -> list[int]:
    if attempts < 1:
        raise ValueError("at least one attempt is needed")
    if policy["first"] < 0 or policy["factor"] < 1:
        raise ValueError(f"senseless policy {policy}")
    cap = policy.get("cap")
    delays = []
    delay = policy["first"]
    for _ in range(attempts - 1):
        delays.append(delay if cap is None else min(delay, cap))
        delay *= policy["factor"]
    return delays


# --- tests ---

import unittest


class TestUploadRetryDelays(unittest.TestCase):
    def test_growth_without_a_cap(self) -> None:
        self.assertEqual(retry_delays({"first": 2, "factor": 3}, 5), [2, 6, 18, 54])

    def test_cap_limits_the_delay(self) -> None:
        self.assertEqual(retry_delays({"first": 5, "factor": 2, "cap": 15}, 5), [5, 10, 15, 15])

    def test_cap_below_the_first_delay(self) -> None:
        self.assertEqual(retry_delays({"first": 8, "factor": 2, "cap": 3}, 3), [3, 3])

    def test_cap_of_zero_is_a_cap(self) -> None:
        self.assertEqual(retry_delays({"first": 4, "factor": 2, "cap": 0}, 3), [0, 0])

    def test_single_attempt_has_no_delay(self) -> None:
        self.assertEqual(retry_delays({"first": 2, "factor": 2}, 1), [])

    def test_factor_one_and_first_zero_are_allowed(self) -> None:
        self.assertEqual(retry_delays({"first": 7, "factor": 1}, 3), [7, 7])
        self.assertEqual(retry_delays({"first": 0, "factor": 9}, 3), [0, 0])

    def test_no_attempts_raises(self) -> None:
        with self.assertRaises(ValueError):
            retry_delays({"first": 2, "factor": 2}, 0)

    def test_bad_policy_raises(self) -> None:
        with self.assertRaises(ValueError):
            retry_delays({"first": -1, "factor": 2}, 2)
        with self.assertRaises(ValueError):
            retry_delays({"first": 1, "factor": 0}, 2)
