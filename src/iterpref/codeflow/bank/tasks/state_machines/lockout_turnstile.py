"""Write a class `Turnstile(tries=3)` with a `state` attribute that is "closed", "open" or "locked".
`show_badge(valid)` on a closed turnstile opens it if `valid`, else counts a failure; after `tries` failures in a row
it becomes locked. `push()` returns True and closes an open turnstile, False otherwise. `unlock()` turns "locked" into
"closed". Opening and unlocking set the failure count to 0. Badges shown while open or locked have no effect. `passed`
counts successful pushes."""


class Turnstile:
    def __init__(self, tries: int = 3) -> None:
        self.tries = tries
        self.state = "closed"
        self.passed = 0
        self._failures = 0

    def show_badge(self, valid: bool) -> None:
        if self.state != "closed":
            return
        if valid:
            self.state = "open"
            self._failures = 0
        else:
            self._failures += 1
            if self._failures >= self.tries:
                self.state = "locked"

    def push(self) -> bool:
        if self.state != "open":
            return False
        self.state = "closed"
        self.passed += 1
        return True

    def unlock(self) -> None:
        if self.state == "locked":
            self.state = "closed"
            self._failures = 0


# --- tests ---

import unittest


def _after(turnstile: Turnstile, *badges: bool) -> str:
    for valid in badges:
        turnstile.show_badge(valid)
    return turnstile.state


class TestTurnstile(unittest.TestCase):
    def test_starts_closed(self) -> None:
        turnstile = Turnstile()
        self.assertEqual((turnstile.state, turnstile.passed, turnstile.push()), ("closed", 0, False))

    def test_a_valid_badge_lets_one_person_through(self) -> None:
        turnstile = Turnstile()
        self.assertEqual(_after(turnstile, True), "open")
        self.assertIs(turnstile.push(), True)
        self.assertIs(turnstile.push(), False)
        self.assertEqual((turnstile.state, turnstile.passed), ("closed", 1))

    def test_locks_after_three_failures_by_default(self) -> None:
        turnstile = Turnstile()
        self.assertEqual(_after(turnstile, False, False), "closed")
        self.assertEqual(_after(turnstile, False), "locked")

    def test_own_number_of_tries(self) -> None:
        self.assertEqual(_after(Turnstile(1), False), "locked")
        self.assertEqual(_after(Turnstile(4), False, False, False), "closed")

    def test_opening_forgets_failures(self) -> None:
        turnstile = Turnstile()
        _after(turnstile, False, False, True)
        turnstile.push()
        self.assertEqual(_after(turnstile, False, False), "closed")
        self.assertEqual(_after(turnstile, False), "locked")

    def test_nothing_but_unlock_helps_when_locked(self) -> None:
        turnstile = Turnstile(1)
        _after(turnstile, False)
        self.assertEqual(_after(turnstile, True), "locked")
        self.assertIs(turnstile.push(), False)
        turnstile.unlock()
        self.assertEqual(turnstile.state, "closed")

    def test_unlocking_forgets_failures(self) -> None:
        turnstile = Turnstile(2)
        _after(turnstile, False, False)
        turnstile.unlock()
        self.assertEqual(_after(turnstile, False), "closed")
        self.assertEqual(_after(turnstile, False), "locked")

    def test_badges_at_an_open_turnstile_have_no_effect(self) -> None:
        turnstile = Turnstile(2)
        self.assertEqual(_after(turnstile, True, False, False, True), "open")
        turnstile.push()
        self.assertEqual(_after(turnstile, False), "closed")

    def test_unlock_leaves_other_states(self) -> None:
        turnstile = Turnstile(2)
        _after(turnstile, False)
        turnstile.unlock()
        self.assertEqual(_after(turnstile, False), "locked")
        turnstile = Turnstile()
        _after(turnstile, True)
        turnstile.unlock()
        self.assertEqual(turnstile.state, "open")
