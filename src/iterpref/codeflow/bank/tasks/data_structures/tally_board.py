"""Write a class TallyBoard for a village contest. vote(name, points=1) adds points, which must be positive, else
ValueError. points(name) is the sum so far, 0 for a name never voted for. ranking() lists (rank, name, points) from
most to fewest points, equal ones by name; equals share the rank, and the next rank skips ahead (1, 2, 2, 4).
merge(other) adds another board's points to this one and leaves the other unchanged. An empty board has the ranking
[]."""


class TallyBoard:
    def __init__(self) -> None:
        self._points: dict[str, int] = {}

    def vote(self, name: str, points: int = 1) -> None:
        if points <= 0:
            raise ValueError(f"points must be positive, not {points}")
        self._points[name] = self.points(name) + points

    def points(self, name: str) -> int:
        return self._points.get(name, 0)

    def merge(self, other: "TallyBoard") -> None:
        for name, points in list(other._points.items()):
            self.vote(name, points)

    def ranking(self) -> list[tuple[int, str, int]]:
        rows: list[tuple[int, str, int]] = []
        ordered = sorted(self._points.items(), key=lambda item: (-item[1], item[0]))
        for place, (name, points) in enumerate(ordered, start=1):
            rank = rows[-1][0] if rows and rows[-1][2] == points else place
            rows.append((rank, name, points))
        return rows


# --- tests ---

import unittest


class TestTallyBoard(unittest.TestCase):
    def board(self, **points: int) -> TallyBoard:
        board = TallyBoard()
        for name, amount in points.items():
            board.vote(name, amount)
        return board

    def test_votes_add_up(self) -> None:
        board = self.board(pie=3)
        board.vote("pie")
        board.vote("pie", 2)
        self.assertEqual(board.points("pie"), 6)

    def test_an_unknown_name_has_no_points_and_no_rank(self) -> None:
        board = self.board(pie=3)
        self.assertEqual(board.points("jam"), 0)
        self.assertEqual(board.ranking(), [(1, "pie", 3)])

    def test_an_empty_board(self) -> None:
        self.assertEqual(TallyBoard().ranking(), [])

    def test_ranking_from_most_to_fewest(self) -> None:
        self.assertEqual(self.board(jam=2, pie=9, tart=5).ranking(), [(1, "pie", 9), (2, "tart", 5), (3, "jam", 2)])

    def test_equals_share_a_rank_and_the_next_skips(self) -> None:
        expected = [(1, "pie", 9), (2, "jam", 5), (2, "tart", 5), (4, "roll", 1)]
        self.assertEqual(self.board(tart=5, roll=1, pie=9, jam=5).ranking(), expected)

    def test_three_winners(self) -> None:
        expected = [(1, "a", 2), (1, "b", 2), (1, "c", 2), (4, "d", 1)]
        self.assertEqual(self.board(c=2, b=2, d=1, a=2).ranking(), expected)

    def test_merge_adds_and_leaves_the_other_alone(self) -> None:
        mine, other = self.board(pie=3), self.board(pie=2, jam=1)
        mine.merge(other)
        self.assertEqual(mine.ranking(), [(1, "pie", 5), (2, "jam", 1)])
        mine.vote("jam")
        self.assertEqual(other.ranking(), [(1, "pie", 2), (2, "jam", 1)])

    def test_a_board_merged_with_itself_doubles(self) -> None:
        board = self.board(pie=3, jam=1)
        board.merge(board)
        self.assertEqual((board.points("pie"), board.points("jam")), (6, 2))

    def test_points_must_be_positive(self) -> None:
        board = TallyBoard()
        for points in (0, -1):
            with self.subTest(points=points), self.assertRaises(ValueError):
                board.vote("pie", points)
        self.assertEqual(board.ranking(), [])
