"""Write `bracket_champion(bracket, ratings)`. A bracket is a player's name or a pair (tuple) of two brackets
whose winners meet. The player with the higher rating wins a game; with equal ratings the one from the left
bracket wins. Return `(champion, games)`, where `games` is the number of games the champion played; a bracket of
one name is its champion with 0 games. A player missing from `ratings` has rating 1000. A tuple that is not a
pair raises ValueError."""


def bracket_champion(bracket: "str | tuple", ratings: dict[str, int]) -> tuple[str, int]:
    if isinstance(bracket, str):
        return bracket, 0
    if len(bracket) != 2:
        raise ValueError("a game needs exactly two sides")
    left, left_games = bracket_champion(bracket[0], ratings)
    right, right_games = bracket_champion(bracket[1], ratings)
    if ratings.get(left, 1000) >= ratings.get(right, 1000):
        return left, left_games + 1
    return right, right_games + 1


# --- tests ---

import unittest

RATINGS = {"Ana": 1500, "Ben": 1400, "Cem": 1500, "Dua": 900, "Eli": 1700}


class TestChessBracketChampion(unittest.TestCase):
    def test_single_player(self) -> None:
        self.assertEqual(bracket_champion("Ana", RATINGS), ("Ana", 0))

    def test_higher_rating_wins_on_either_side(self) -> None:
        self.assertEqual(bracket_champion(("Ana", "Ben"), RATINGS), ("Ana", 1))
        self.assertEqual(bracket_champion(("Ben", "Ana"), RATINGS), ("Ana", 1))

    def test_left_wins_a_tie(self) -> None:
        self.assertEqual(bracket_champion(("Ana", "Cem"), RATINGS), ("Ana", 1))
        self.assertEqual(bracket_champion(("Cem", "Ana"), RATINGS), ("Cem", 1))

    def test_two_rounds(self) -> None:
        self.assertEqual(bracket_champion((("Ben", "Ana"), ("Cem", "Dua")), RATINGS), ("Ana", 2))

    def test_games_of_the_champion_only(self) -> None:
        bracket = ((("Ana", "Ben"), "Cem"), "Eli")
        self.assertEqual(bracket_champion(bracket, RATINGS), ("Eli", 1))
        self.assertEqual(bracket_champion(("Dua", (("Ana", "Ben"), "Dua")), RATINGS), ("Ana", 3))

    def test_unrated_player_has_a_thousand(self) -> None:
        self.assertEqual(bracket_champion(("Dua", "New"), RATINGS), ("New", 1))
        self.assertEqual(bracket_champion(("New", "Ben"), RATINGS), ("Ben", 1))
        self.assertEqual(bracket_champion(("New", "Mia"), {"Mia": 1000}), ("New", 1))
        self.assertEqual(bracket_champion(("New", "Mia"), {"Mia": 1001}), ("Mia", 1))

    def test_unrated_player_on_the_right(self) -> None:
        self.assertEqual(bracket_champion(("Mia", "New"), {"Mia": 999}), ("New", 1))
        self.assertEqual(bracket_champion(("Mia", "New"), {"Mia": 1000}), ("Mia", 1))

    def test_wrong_sizes_raise(self) -> None:
        for bracket in ((), ("Ana",), ("Ana", "Ben", "Cem"), ("Ana", ("Ben",))):
            with self.subTest(bracket=bracket), self.assertRaises(ValueError):
                bracket_champion(bracket, RATINGS)
