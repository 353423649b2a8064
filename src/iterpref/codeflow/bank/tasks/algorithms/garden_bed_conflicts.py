"""Write garden_bed_conflicts(bed, rivals). The bed is a list of equally long rows of plant names, with "" for bare
soil; rivals is a set of pairs of names that must not stand side by side, each pair given in either order, possibly a
plant with itself. Return the list of conflicting neighbours as ((row, column), (row, column)), the upper or left cell
first, looking right and then down from each cell, row by row. Diagonals do not count. An empty bed gives []."""

Cell = tuple[int, int]


def garden_bed_conflicts(bed: list[list[str]], rivals: set[tuple[str, str]]) -> list[tuple[Cell, Cell]]:
    conflicts: list[tuple[Cell, Cell]] = []
    for row, plants in enumerate(bed):
        for col, plant in enumerate(plants):
            for near_row, near_col in ((row, col + 1), (row + 1, col)):
                if near_row >= len(bed) or near_col >= len(plants):
                    continue
                near = bed[near_row][near_col]
                if (plant, near) in rivals or (near, plant) in rivals:
                    conflicts.append(((row, col), (near_row, near_col)))
    return conflicts


# --- tests ---

import unittest

RIVALS = {("bean", "onion"), ("tomato", "potato"), ("fennel", "fennel")}


class TestGardenBedConflicts(unittest.TestCase):
    def test_an_empty_bed(self) -> None:
        self.assertEqual(garden_bed_conflicts([], RIVALS), [])
        self.assertEqual(garden_bed_conflicts([[]], RIVALS), [])

    def test_side_by_side(self) -> None:
        self.assertEqual(garden_bed_conflicts([["", "bean", "onion"]], RIVALS), [((0, 1), (0, 2))])

    def test_pairs_work_in_either_order(self) -> None:
        self.assertEqual(garden_bed_conflicts([["onion", "bean"]], RIVALS), [((0, 0), (0, 1))])

    def test_one_above_the_other(self) -> None:
        self.assertEqual(garden_bed_conflicts([["kale"], ["tomato"], ["potato"]], RIVALS), [((1, 0), (2, 0))])

    def test_diagonals_do_not_count(self) -> None:
        self.assertEqual(garden_bed_conflicts([["bean", ""], ["", "onion"]], RIVALS), [])

    def test_a_plant_may_be_its_own_rival(self) -> None:
        self.assertEqual(garden_bed_conflicts([["fennel", "fennel"], ["bean", "bean"]], RIVALS), [((0, 0), (0, 1))])

    def test_order_is_right_then_down_row_by_row(self) -> None:
        bed = [["bean", "onion"], ["onion", "bean"]]
        expected = [((0, 0), (0, 1)), ((0, 0), (1, 0)), ((0, 1), (1, 1)), ((1, 0), (1, 1))]
        self.assertEqual(garden_bed_conflicts(bed, RIVALS), expected)

    def test_rows_do_not_wrap(self) -> None:
        self.assertEqual(garden_bed_conflicts([["", "bean"], ["onion", ""]], RIVALS), [])
        self.assertEqual(garden_bed_conflicts([["bean", "", "onion"], ["", "", ""]], RIVALS), [])

    def test_no_rivals(self) -> None:
        self.assertEqual(garden_bed_conflicts([["bean", "onion"]], set()), [])
