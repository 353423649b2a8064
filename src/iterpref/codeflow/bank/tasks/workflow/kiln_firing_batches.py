"""Write `firing_batches(pieces, shelves)` for a pottery. `pieces` is a list of (name, degrees, size) in order of
arrival; the kiln holds sizes up to `shelves` in total, all of one temperature. Return a list of (degrees, names)
firings: temperatures from low to high, within a temperature the pieces in order of arrival, a new firing being
started as soon as the next piece no longer fits the current one. A piece larger than `shelves` raises ValueError. No
pieces give an empty list."""


def firing_batches(pieces: list[tuple[str, int, int]], shelves: int) -> list[tuple[int, list[str]]]:
    batches: list[tuple[int, list[str]]] = []
    current: int | None = None
    used = 0
    for name, degrees, size in sorted(pieces, key=lambda piece: piece[1]):
        if size > shelves:
            raise ValueError(f"{name} does not fit the kiln")
        if degrees != current or used + size > shelves:
            batches.append((degrees, []))
            current = degrees
            used = 0
        batches[-1][1].append(name)
        used += size
    return batches


# --- tests ---

import unittest


class TestKilnFiringBatches(unittest.TestCase):
    def test_no_pieces(self) -> None:
        self.assertEqual(firing_batches([], 4), [])

    def test_all_fit_exactly(self) -> None:
        self.assertEqual(firing_batches([("cup", 900, 1), ("jug", 900, 3)], 4), [(900, ["cup", "jug"])])

    def test_overflow_starts_a_new_firing(self) -> None:
        pieces = [("cup", 900, 2), ("jug", 900, 3), ("bowl", 900, 1), ("dish", 900, 1)]
        self.assertEqual(firing_batches(pieces, 4), [(900, ["cup"]), (900, ["jug", "bowl"]), (900, ["dish"])])

    def test_temperatures_from_low_to_high(self) -> None:
        pieces = [("tile", 1200, 1), ("cup", 900, 1), ("vase", 1050, 1)]
        self.assertEqual(firing_batches(pieces, 4), [(900, ["cup"]), (1050, ["vase"]), (1200, ["tile"])])

    def test_arrival_order_within_a_temperature(self) -> None:
        pieces = [("z", 900, 2), ("t", 1200, 1), ("a", 900, 1), ("s", 1200, 1)]
        self.assertEqual(firing_batches(pieces, 5), [(900, ["z", "a"]), (1200, ["t", "s"])])

    def test_room_is_counted_anew_for_each_temperature(self) -> None:
        pieces = [("a", 900, 3), ("b", 1000, 3), ("c", 1000, 1)]
        self.assertEqual(firing_batches(pieces, 4), [(900, ["a"]), (1000, ["b", "c"])])

    def test_earlier_firing_is_not_filled_up_later(self) -> None:
        pieces = [("a", 900, 3), ("b", 900, 4), ("c", 900, 1)]
        self.assertEqual(firing_batches(pieces, 4), [(900, ["a"]), (900, ["b"]), (900, ["c"])])

    def test_too_large_piece_raises(self) -> None:
        with self.assertRaises(ValueError):
            firing_batches([("statue", 900, 5)], 4)
