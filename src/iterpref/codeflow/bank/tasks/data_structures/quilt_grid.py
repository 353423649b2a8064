"""Write a class QuiltGrid(default="white") for a quilt of unlimited size. grid[row, col] reads a patch colour,
default where none was sewn; grid[row, col] = colour sews one, and sewing the default colour removes the patch. Rows
and columns may be negative. len() counts sewn patches. bounds() is (top, left, bottom, right) around the sewn
patches, inclusive, or None if there are none. moved(rows, cols) returns a new grid with all patches shifted, the
original unchanged."""


class QuiltGrid:
    def __init__(self, default: str = "white") -> None:
        self._default = default
        self._patches: dict[tuple[int, int], str] = {}

    def __len__(self) -> int:
        return len(self._patches)

    def __getitem__(self, cell: tuple[int, int]) -> str:
        return self._patches.get(cell, self._default)

    def __setitem__(self, cell: tuple[int, int], colour: str) -> None:
        if colour == self._default:
            self._patches.pop(cell, None)
        else:
            self._patches[cell] = colour

    def bounds(self) -> tuple[int, int, int, int] | None:
        if not self._patches:
            return None
        rows = [row for row, _ in self._patches]
        cols = [col for _, col in self._patches]
        return min(rows), min(cols), max(rows), max(cols)

    def moved(self, rows: int, cols: int) -> "QuiltGrid":
        grid = QuiltGrid(self._default)
        for (row, col), colour in self._patches.items():
            grid[row + rows, col + cols] = colour
        return grid


# --- tests ---

import unittest


class TestQuiltGrid(unittest.TestCase):
    def grid(self, **options: str) -> QuiltGrid:
        grid = QuiltGrid(**options)
        grid[2, 5] = "red"
        grid[-1, 7] = "blue"
        grid[0, 6] = "red"
        return grid

    def test_reading_sewn_and_bare_patches(self) -> None:
        grid = self.grid()
        self.assertEqual((grid[2, 5], grid[-1, 7], grid[5, 2]), ("red", "blue", "white"))

    def test_reading_does_not_sew(self) -> None:
        grid = QuiltGrid()
        self.assertEqual((grid[3, 3], len(grid), grid.bounds()), ("white", 0, None))

    def test_another_default(self) -> None:
        grid = self.grid(default="grey")
        self.assertEqual(grid[9, 9], "grey")
        grid[9, 9] = "white"
        self.assertEqual((grid[9, 9], len(grid)), ("white", 4))

    def test_sewing_over_a_patch(self) -> None:
        grid = self.grid()
        grid[2, 5] = "green"
        self.assertEqual((grid[2, 5], len(grid)), ("green", 3))

    def test_the_default_colour_removes_a_patch(self) -> None:
        grid = self.grid()
        grid[-1, 7] = "white"
        grid[8, 8] = "white"
        self.assertEqual((len(grid), grid[-1, 7], grid.bounds()), (2, "white", (0, 5, 2, 6)))

    def test_bounds(self) -> None:
        self.assertEqual(self.grid().bounds(), (-1, 5, 2, 7))
        single = QuiltGrid()
        single[4, -3] = "red"
        self.assertEqual(single.bounds(), (4, -3, 4, -3))

    def test_moved_shifts_rows_and_columns(self) -> None:
        moved = self.grid().moved(10, -5)
        self.assertEqual((moved[12, 0], moved[9, 2], moved[2, 5], len(moved)), ("red", "blue", "white", 3))

    def test_moved_keeps_the_default_and_leaves_the_original(self) -> None:
        grid = self.grid(default="grey")
        moved = grid.moved(0, 0)
        moved[2, 5] = "pink"
        self.assertEqual((moved[50, 50], grid[2, 5], grid.bounds()), ("grey", "red", (-1, 5, 2, 7)))
