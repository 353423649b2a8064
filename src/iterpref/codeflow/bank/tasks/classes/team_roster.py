"""Write a dataclass `Roster(club, shirts={})` for a handball team, where `shirts` maps shirt numbers (1 to 99) to
player names and is copied. `sign(name, number=None)` gives the player that number, or the lowest free one, and
returns it; an invalid or taken number, a name already listed, or a full roster raises ValueError.
`trade(number, other)` moves the player to another roster, under the same number if free there, else the lowest free
one, and returns the new number; unknown numbers raise KeyError. Failed calls change nothing."""

from dataclasses import dataclass, field


@dataclass
class Roster:
    club: str
    shirts: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shirts = dict(self.shirts)

    def sign(self, name: str, number: int | None = None) -> int:
        if name in self.shirts.values():
            raise ValueError(f"{name} is on the roster already")
        if number is None:
            number = self._lowest_free()
        if not 1 <= number <= 99:
            raise ValueError(f"{number} is not from 1 to 99")
        if number in self.shirts:
            raise ValueError(f"{number} is taken")
        self.shirts[number] = name
        return number

    def trade(self, number: int, other: "Roster") -> int:
        name = self.shirts[number]
        new_number = other.sign(name, None if number in other.shirts else number)
        del self.shirts[number]
        return new_number

    def _lowest_free(self) -> int:
        for number in range(1, 100):
            if number not in self.shirts:
                return number
        raise ValueError("the roster is full")


# --- tests ---

import unittest


class TestRoster(unittest.TestCase):
    def test_signing_with_a_number(self) -> None:
        roster = Roster("Reds")
        self.assertEqual(roster.sign("Kim", 7), 7)
        self.assertEqual(roster.shirts, {7: "Kim"})

    def test_signing_takes_the_lowest_free_number(self) -> None:
        roster = Roster("Reds", {1: "Kim", 3: "Lou"})
        self.assertEqual([roster.sign("Max"), roster.sign("Nia")], [2, 4])
        self.assertEqual(Roster("Blues").sign("Oli"), 1)

    def test_number_range(self) -> None:
        roster = Roster("Reds")
        self.assertEqual([roster.sign("Kim", 1), roster.sign("Lou", 99)], [1, 99])
        for number in (0, 100, -1):
            with self.assertRaises(ValueError):
                roster.sign("Max", number)
        self.assertEqual(roster.shirts, {1: "Kim", 99: "Lou"})

    def test_taken_numbers_and_names(self) -> None:
        roster = Roster("Reds", {7: "Kim"})
        with self.assertRaises(ValueError):
            roster.sign("Lou", 7)
        with self.assertRaises(ValueError):
            roster.sign("Kim", 8)
        self.assertEqual(roster.shirts, {7: "Kim"})

    def test_a_full_roster(self) -> None:
        roster = Roster("Reds", {number: f"P{number}" for number in range(1, 99)})
        self.assertEqual(roster.sign("Kim"), 99)
        with self.assertRaises(ValueError):
            roster.sign("Lou")

    def test_rosters_do_not_share_shirts(self) -> None:
        given = {4: "Kim"}
        first, second = Roster("Reds", given), Roster("Blues", given)
        first.sign("Lou")
        self.assertEqual((given, second.shirts), ({4: "Kim"}, {4: "Kim"}))
        third, fourth = Roster("Greens"), Roster("Golds")
        third.sign("Max")
        self.assertEqual(fourth.shirts, {})

    def test_a_trade_keeps_a_free_number(self) -> None:
        reds, blues = Roster("Reds", {9: "Kim"}), Roster("Blues", {1: "Lou"})
        self.assertEqual(reds.trade(9, blues), 9)
        self.assertEqual((reds.shirts, blues.shirts), ({}, {1: "Lou", 9: "Kim"}))

    def test_a_trade_to_a_taken_number_takes_the_lowest_free(self) -> None:
        reds, blues = Roster("Reds", {9: "Kim", 2: "Max"}), Roster("Blues", {1: "Lou", 9: "Nia"})
        self.assertEqual(reds.trade(9, blues), 2)
        self.assertEqual((reds.shirts, blues.shirts), ({2: "Max"}, {1: "Lou", 9: "Nia", 2: "Kim"}))

    def test_failed_trades_change_nothing(self) -> None:
        reds, blues = Roster("Reds", {9: "Kim"}), Roster("Blues", {1: "Kim"})
        with self.assertRaises(ValueError):
            reds.trade(9, blues)
        with self.assertRaises(KeyError):
            reds.trade(5, blues)
        self.assertEqual((reds.shirts, blues.shirts), ({9: "Kim"}, {1: "Kim"}))
