"""Write `region_leaders(harvests, places)` for a beekeepers' union. `harvests` is a list of (region, keeper, kilos);
kilos of one keeper in one region are added up. Return a dict from region, in order of first appearance, to a list of
(rank, keeper, kilos), most kilos first and ties by name. Equal kilos share a rank and the next rank skips accordingly
(1, 2, 2, 4). Only ranks up to and including `places` are listed. `places` below 1 raises ValueError."""


def region_leaders(harvests: list[tuple[str, str, int]], places: int) -> dict[str, list[tuple[int, str, int]]]:
    if places < 1:
        raise ValueError("places must be at least 1")
    totals: dict[str, dict[str, int]] = {}
    for region, keeper, kilos in harvests:
        keepers = totals.setdefault(region, {})
        keepers[keeper] = keepers.get(keeper, 0) + kilos
    leaders: dict[str, list[tuple[int, str, int]]] = {}
    for region, keepers in totals.items():
        ranking: list[tuple[int, str, int]] = []
        for keeper, kilos in sorted(keepers.items(), key=lambda item: (-item[1], item[0])):
            tied = bool(ranking) and ranking[-1][2] == kilos
            rank = ranking[-1][0] if tied else len(ranking) + 1
            if rank > places:
                break
            ranking.append((rank, keeper, kilos))
        leaders[region] = ranking
    return leaders


# --- tests ---

import unittest


class TestBeekeeperRegionRanking(unittest.TestCase):
    def test_no_harvests(self) -> None:
        self.assertEqual(region_leaders([], 3), {})

    def test_harvests_of_a_keeper_are_added(self) -> None:
        harvests = [("north", "Una", 5), ("north", "Tom", 8), ("north", "Una", 4)]
        self.assertEqual(region_leaders(harvests, 3), {"north": [(1, "Una", 9), (2, "Tom", 8)]})

    def test_regions_are_apart_and_in_order_of_appearance(self) -> None:
        harvests = [("south", "Una", 5), ("north", "Una", 7), ("south", "Tom", 6)]
        result = region_leaders(harvests, 1)
        self.assertEqual(list(result.items()), [("south", [(1, "Tom", 6)]), ("north", [(1, "Una", 7)])])

    def test_tie_shares_the_rank_and_skips_the_next(self) -> None:
        harvests = [("n", "D", 1), ("n", "C", 5), ("n", "B", 5), ("n", "A", 9)]
        self.assertEqual(region_leaders(harvests, 4), {"n": [(1, "A", 9), (2, "B", 5), (2, "C", 5), (4, "D", 1)]})
        self.assertEqual(region_leaders(harvests, 3), {"n": [(1, "A", 9), (2, "B", 5), (2, "C", 5)]})

    def test_tie_at_the_last_place_is_listed_whole(self) -> None:
        harvests = [("n", "B", 5), ("n", "A", 5), ("n", "C", 5), ("n", "D", 4)]
        self.assertEqual(region_leaders(harvests, 1), {"n": [(1, "A", 5), (1, "B", 5), (1, "C", 5)]})

    def test_one_place(self) -> None:
        self.assertEqual(region_leaders([("n", "A", 2), ("n", "B", 3)], 1), {"n": [(1, "B", 3)]})

    def test_bad_places_raise(self) -> None:
        with self.assertRaises(ValueError):
            region_leaders([], 0)
