"""Write the class `RepairTicket` for a bicycle shop. A new ticket has `state` "received" and `history` ["received"].
Method `move(state)` changes the state and appends it to the history. Allowed: received to inspected; inspected to
repairing or declined; repairing to inspected or ready; ready to collected. Any other move raises ValueError and
changes nothing. Property `closed` is True in the states declined and collected. Method `visits(state)` counts how
often the ticket entered that state. `history` returns a copy."""


class RepairTicket:
    MOVES: dict[str, tuple[str, ...]] = {
        "received": ("inspected",),
        "inspected": ("repairing", "declined"),
        "repairing": ("inspected", "ready"),
        "ready": ("collected",),
        "declined": (),
        "collected": (),
    }

    def __init__(self) -> None:
        self._history = ["received"]

    @property
    def state(self) -> str:
        return self._history[-1]

    @property
    def history(self) -> list[str]:
        return list(self._history)

    @property
    def closed(self) -> bool:
        return not self.MOVES[self.state]

    def move(self, state: str) -> None:
        if state not in self.MOVES[self.state]:
            raise ValueError(f"cannot go from {self.state} to {state}")
        self._history.append(state)

    def visits(self, state: str) -> int:
        return self._history.count(state)


# --- tests ---

import unittest


def ticket_after(*states: str) -> RepairTicket:
    ticket = RepairTicket()
    for state in states:
        ticket.move(state)
    return ticket


class TestRepairTicketDesk(unittest.TestCase):
    def test_new_ticket(self) -> None:
        ticket = RepairTicket()
        self.assertEqual(ticket.state, "received")
        self.assertEqual(ticket.history, ["received"])
        self.assertFalse(ticket.closed)

    def test_way_to_collection(self) -> None:
        ticket = ticket_after("inspected", "repairing", "ready", "collected")
        self.assertEqual(ticket.state, "collected")
        self.assertEqual(ticket.history, ["received", "inspected", "repairing", "ready", "collected"])
        self.assertTrue(ticket.closed)

    def test_declined_is_closed(self) -> None:
        self.assertTrue(ticket_after("inspected", "declined").closed)

    def test_open_states_are_not_closed(self) -> None:
        for states in (["inspected"], ["inspected", "repairing"], ["inspected", "repairing", "ready"]):
            self.assertFalse(ticket_after(*states).closed)

    def test_forbidden_moves_change_nothing(self) -> None:
        cases = {
            (): ["received", "repairing", "declined", "ready", "collected"],
            ("inspected",): ["inspected", "received", "ready", "collected"],
            ("inspected", "repairing"): ["repairing", "declined", "collected", "received"],
            ("inspected", "repairing", "ready"): ["ready", "repairing", "inspected", "declined", "received"],
            ("inspected", "declined"): ["inspected", "received", "declined", "collected"],
            ("inspected", "repairing", "ready", "collected"): ["received", "ready", "collected"],
        }
        for way, targets in cases.items():
            for target in [*targets, "lost"]:
                ticket = ticket_after(*way)
                with self.assertRaises(ValueError):
                    ticket.move(target)
                self.assertEqual(ticket.history, ["received", *way])

    def test_visits_counts_repeated_states(self) -> None:
        ticket = ticket_after("inspected", "repairing", "inspected", "repairing", "ready")
        self.assertEqual(ticket.visits("inspected"), 2)
        self.assertEqual(ticket.visits("received"), 1)
        self.assertEqual(ticket.visits("collected"), 0)

    def test_history_is_a_copy(self) -> None:
        ticket = RepairTicket()
        ticket.history.append("collected")
        self.assertEqual(ticket.state, "received")
        self.assertEqual(ticket.history, ["received"])

    def test_tickets_are_independent(self) -> None:
        ticket_after("inspected")
        self.assertEqual(RepairTicket().history, ["received"])
