"""Write `quiz_table(results)` for a pub quiz season. `results` is a list of evenings, each a dictionary from team
to its score. On every evening the best score earns 5 points, the second best different score 3, the third 1; teams
with equal scores earn the same. A score of 0 earns nothing. Return `(place, team, points)` rows for all teams that
ever took part, most points first, equal points in alphabetical order; teams with equal points share a place, and
the next place counts all teams before it (1, 1, 3)."""

POINTS = [5, 3, 1]


def quiz_table(results: list[dict[str, int]]) -> list[tuple[int, str, int]]:
    totals: dict[str, int] = {}
    for evening in results:
        best = sorted({score for score in evening.values() if score > 0}, reverse=True)
        worth = dict(zip(best, POINTS, strict=False))
        for team, score in evening.items():
            totals[team] = totals.get(team, 0) + worth.get(score, 0)
    table: list[tuple[int, str, int]] = []
    for team in sorted(totals, key=lambda name: (-totals[name], name)):
        place = 1 + sum(points > totals[team] for points in totals.values())
        table.append((place, team, totals[team]))
    return table


# --- tests ---

import unittest


class TestQuizTable(unittest.TestCase):
    def test_one_evening(self) -> None:
        table = quiz_table([{"Owls": 31, "Larks": 40, "Newts": 12, "Moles": 9}])
        self.assertEqual(table, [(1, "Larks", 5), (2, "Owls", 3), (3, "Newts", 1), (4, "Moles", 0)])

    def test_equal_scores_earn_the_same_and_use_up_one_rank(self) -> None:
        table = quiz_table([{"Owls": 40, "Larks": 40, "Newts": 30, "Moles": 20}])
        self.assertEqual(table, [(1, "Larks", 5), (1, "Owls", 5), (3, "Newts", 3), (4, "Moles", 1)])

    def test_evenings_add_up(self) -> None:
        table = quiz_table([{"Owls": 10, "Larks": 20}, {"Owls": 9, "Larks": 8, "Newts": 7}, {"Owls": 1}])
        self.assertEqual(table, [(1, "Owls", 13), (2, "Larks", 8), (3, "Newts", 1)])

    def test_a_score_of_zero_earns_nothing(self) -> None:
        self.assertEqual(quiz_table([{"Owls": 0, "Larks": 2}]), [(1, "Larks", 5), (2, "Owls", 0)])
        self.assertEqual(quiz_table([{"Owls": 0}]), [(1, "Owls", 0)])

    def test_shared_places_skip_the_next(self) -> None:
        table = quiz_table([{"A": 9, "B": 8}, {"B": 9, "A": 8}, {"C": 1}, {"D": 0, "E": 0}])
        self.assertEqual(table, [(1, "A", 8), (1, "B", 8), (3, "C", 5), (4, "D", 0), (4, "E", 0)])

    def test_equal_points_are_in_alphabetical_order(self) -> None:
        self.assertEqual([row[1] for row in quiz_table([{"Zebra": 3, "Ant": 3, "Mole": 3}])], ["Ant", "Mole", "Zebra"])

    def test_one_point_is_enough_to_score(self) -> None:
        self.assertEqual(quiz_table([{"Owls": 1, "Larks": 2}]), [(1, "Larks", 5), (2, "Owls", 3)])

    def test_no_evenings(self) -> None:
        self.assertEqual(quiz_table([]), [])
        self.assertEqual(quiz_table([{}]), [])

    def test_the_results_are_not_changed(self) -> None:
        results = [{"Owls": 1, "Larks": 2}]
        quiz_table(results)
        self.assertEqual(results, [{"Owls": 1, "Larks": 2}])
