"""Write a class `PeekableTickets(tickets)` wrapping any iterable of strings as an iterator for a help desk.
`peek(default=None)` returns the next ticket without consuming it, or the default at the end. `push_back(ticket)`
makes a ticket the next one delivered; the last pushed comes first. `take_while(prefix)` consumes and returns a list
of the upcoming tickets that start with the prefix, leaving the first other one in place. `next` and `for` work as
usual; `next` at the end raises StopIteration. Read the source only on demand; pushing also works after the end."""

from collections.abc import Iterable, Iterator


class PeekableTickets:
    def __init__(self, tickets: Iterable[str]) -> None:
        self._source = iter(tickets)
        self._pending: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._pending:
            return self._pending.pop()
        return next(self._source)

    def peek(self, default: str | None = None) -> str | None:
        if not self._pending:
            try:
                self._pending.append(next(self._source))
            except StopIteration:
                return default
        return self._pending[-1]

    def push_back(self, ticket: str) -> None:
        self._pending.append(ticket)

    def take_while(self, prefix: str) -> list[str]:
        taken: list[str] = []
        while True:
            ticket = self.peek()
            if ticket is None or not ticket.startswith(prefix):
                return taken
            taken.append(next(self))


# --- tests ---

import unittest


class TestPeekableTickets(unittest.TestCase):
    def test_peek_does_not_consume(self) -> None:
        tickets = PeekableTickets(["a", "b"])
        self.assertEqual([tickets.peek(), tickets.peek(), next(tickets), next(tickets)], ["a", "a", "a", "b"])

    def test_peek_at_the_end_gives_the_default(self) -> None:
        tickets = PeekableTickets([])
        self.assertIsNone(tickets.peek())
        self.assertEqual(tickets.peek("none left"), "none left")

    def test_next_at_the_end_raises(self) -> None:
        tickets = PeekableTickets(["a"])
        self.assertEqual(list(tickets), ["a"])
        with self.assertRaises(StopIteration):
            next(tickets)

    def test_last_pushed_comes_first(self) -> None:
        tickets = PeekableTickets(["c"])
        tickets.push_back("b")
        tickets.push_back("a")
        self.assertEqual(list(tickets), ["a", "b", "c"])

    def test_push_back_goes_before_a_peeked_ticket(self) -> None:
        tickets = PeekableTickets(["b", "c"])
        tickets.peek()
        tickets.push_back("a")
        self.assertEqual(tickets.peek(), "a")
        self.assertEqual(list(tickets), ["a", "b", "c"])

    def test_push_back_after_the_end(self) -> None:
        tickets = PeekableTickets([])
        self.assertIsNone(tickets.peek())
        tickets.push_back("late")
        self.assertEqual(list(tickets), ["late"])

    def test_take_while_leaves_the_first_other_ticket(self) -> None:
        tickets = PeekableTickets(["net-1", "net-2", "pc-1", "net-3"])
        self.assertEqual(tickets.take_while("net"), ["net-1", "net-2"])
        self.assertEqual(list(tickets), ["pc-1", "net-3"])

    def test_take_while_may_take_nothing_or_everything(self) -> None:
        tickets = PeekableTickets(["pc-1", "pc-2"])
        self.assertEqual(tickets.take_while("net"), [])
        self.assertEqual(tickets.take_while("pc"), ["pc-1", "pc-2"])
        self.assertEqual(tickets.take_while("pc"), [])

    def test_source_is_read_only_on_demand(self) -> None:
        source = iter(["a", "b", "c"])
        tickets = PeekableTickets(source)
        tickets.peek()
        self.assertEqual(next(source), "b")
