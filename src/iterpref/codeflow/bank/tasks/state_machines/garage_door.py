"""Write `door_states(events)` for a garage door with a single button. It starts "closed" and returns the list of
states, one after each event. "button": closed -> opening, open -> closing, opening or closing -> stopped, and stopped
moves on in the direction opposite to the one it was moving in. "limit" (the end is reached): opening -> open, closing
-> closed. "obstacle": closing -> opening. All other combinations leave the state as it is. An unknown event raises
ValueError. No events give an empty list."""

from collections.abc import Iterable


def door_states(events: Iterable[str]) -> list[str]:
    states: list[str] = []
    state = "closed"
    last_move = ""
    for event in events:
        if event not in ("button", "limit", "obstacle"):
            raise ValueError(f"unknown event {event!r}")
        if state in ("opening", "closing"):
            last_move = state
            if event == "button":
                state = "stopped"
            elif event == "limit":
                state = "open" if state == "opening" else "closed"
            elif state == "closing":
                state = "opening"
        elif event == "button":
            if state == "closed" or (state == "stopped" and last_move == "closing"):
                state = "opening"
            else:
                state = "closing"
        states.append(state)
    return states


# --- tests ---

import unittest


class TestDoorStates(unittest.TestCase):
    def test_opening_and_closing(self) -> None:
        self.assertEqual(door_states(["button", "limit", "button", "limit"]), ["opening", "open", "closing", "closed"])

    def test_stopped_while_opening_goes_down(self) -> None:
        self.assertEqual(
            door_states(["button", "button", "button", "limit"]), ["opening", "stopped", "closing", "closed"]
        )

    def test_stopped_while_closing_goes_up(self) -> None:
        events = ["button", "limit", "button", "button", "button", "limit"]
        self.assertEqual(door_states(events), ["opening", "open", "closing", "stopped", "opening", "open"])

    def test_the_direction_turns_at_every_stop(self) -> None:
        self.assertEqual(
            door_states(["button"] * 6), ["opening", "stopped", "closing", "stopped", "opening", "stopped"]
        )

    def test_obstacle_reverses_a_closing_door(self) -> None:
        events = ["button", "limit", "button", "obstacle", "button", "button"]
        self.assertEqual(door_states(events), ["opening", "open", "closing", "opening", "stopped", "closing"])

    def test_obstacle_means_nothing_otherwise(self) -> None:
        events = ["obstacle", "button", "obstacle", "limit", "obstacle"]
        self.assertEqual(door_states(events), ["closed", "opening", "opening", "open", "open"])

    def test_limit_means_nothing_when_standing(self) -> None:
        self.assertEqual(
            door_states(["limit", "button", "button", "limit", "obstacle"]),
            ["closed", "opening", "stopped", "stopped", "stopped"],
        )

    def test_unknown_events_raise(self) -> None:
        with self.assertRaises(ValueError):
            door_states(["button", "kick"])

    def test_no_events_no_states(self) -> None:
        self.assertEqual(door_states([]), [])
