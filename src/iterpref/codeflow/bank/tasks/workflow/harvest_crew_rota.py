"""Write `crew_rota(workers, shifts, days_off)` for an orchard. Assign one worker to each shift name in `shifts`,
going round `workers` in order and starting with the first: for each shift take the next worker after the one assigned
last who is not in `days_off.get(shift, set())`. Return a dict from shift to worker. When nobody is available the
shift maps to None and the turn does not move. No workers mean None for every shift. A shift listed twice raises
ValueError. Inputs stay unchanged."""


def crew_rota(workers: list[str], shifts: list[str], days_off: dict[str, set[str]]) -> dict[str, str | None]:
    rota: dict[str, str | None] = {}
    turn = 0
    for shift in shifts:
        if shift in rota:
            raise ValueError(f"shift {shift} is listed twice")
        off = days_off.get(shift, set())
        rota[shift] = None
        for step in range(len(workers)):
            index = (turn + step) % len(workers)
            if workers[index] not in off:
                rota[shift] = workers[index]
                turn = index + 1
                break
    return rota


# --- tests ---

import unittest


class TestHarvestCrewRota(unittest.TestCase):
    def test_goes_round_in_order(self) -> None:
        rota = crew_rota(["Ida", "Jon", "Kim"], ["mo", "tu", "we", "th"], {})
        self.assertEqual(list(rota.items()), [("mo", "Ida"), ("tu", "Jon"), ("we", "Kim"), ("th", "Ida")])

    def test_worker_off_is_passed_over(self) -> None:
        rota = crew_rota(["Ida", "Jon", "Kim"], ["mo", "tu", "we"], {"mo": {"Ida"}})
        self.assertEqual(rota, {"mo": "Jon", "tu": "Kim", "we": "Ida"})

    def test_last_worker_is_found_past_the_end(self) -> None:
        rota = crew_rota(["Ida", "Jon", "Kim"], ["mo", "tu"], {"tu": {"Jon", "Kim"}})
        self.assertEqual(rota, {"mo": "Ida", "tu": "Ida"})

    def test_nobody_available_keeps_the_turn(self) -> None:
        rota = crew_rota(["Ida", "Jon", "Kim"], ["mo", "tu", "we"], {"tu": {"Ida", "Jon", "Kim"}})
        self.assertEqual(rota, {"mo": "Ida", "tu": None, "we": "Jon"})

    def test_only_the_last_in_the_list_is_free(self) -> None:
        self.assertEqual(crew_rota(["Ida", "Jon", "Kim"], ["mo"], {"mo": {"Ida", "Jon"}}), {"mo": "Kim"})

    def test_no_workers(self) -> None:
        self.assertEqual(crew_rota([], ["mo", "tu"], {}), {"mo": None, "tu": None})

    def test_no_shifts(self) -> None:
        self.assertEqual(crew_rota(["Ida"], [], {}), {})

    def test_shift_listed_twice_raises(self) -> None:
        with self.assertRaises(ValueError):
            crew_rota(["Ida"], ["mo", "mo"], {})
        with self.assertRaises(ValueError):
            crew_rota([], ["mo", "mo"], {})

    def test_inputs_are_unchanged(self) -> None:
        workers, shifts, off = ["Ida", "Jon"], ["mo", "tu", "we"], {"mo": {"Ida"}}
        crew_rota(workers, shifts, off)
        self.assertEqual((workers, shifts, off), (["Ida", "Jon"], ["mo", "tu", "we"], {"mo": {"Ida"}}))
