"""Write a class TwoWayCodes pairing airport codes and cities one to one. add(code, city) stores a pair; adding the
very same pair again changes nothing, but a code or a city already in another pair raises ValueError and changes
nothing. city(code) and code(city) look up and raise KeyError if missing. rename(old, new) gives a city's pair a new
city name under the same rules: KeyError if old is missing, ValueError if new belongs to another pair. remove(code)
returns its city. pairs() lists (code, city) sorted by code."""


class TwoWayCodes:
    def __init__(self) -> None:
        self._cities: dict[str, str] = {}
        self._codes: dict[str, str] = {}

    def add(self, code: str, city: str) -> None:
        if self._cities.get(code, city) != city or self._codes.get(city, code) != code:
            raise ValueError(f"{code} or {city} is in another pair")
        self._cities[code] = city
        self._codes[city] = code

    def city(self, code: str) -> str:
        return self._cities[code]

    def code(self, city: str) -> str:
        return self._codes[city]

    def rename(self, old: str, new: str) -> None:
        code = self._codes[old]
        if self._codes.get(new, code) != code:
            raise ValueError(f"{new} is in another pair")
        del self._codes[old]
        self._codes[new] = code
        self._cities[code] = new

    def remove(self, code: str) -> str:
        city = self._cities.pop(code)
        del self._codes[city]
        return city

    def pairs(self) -> list[tuple[str, str]]:
        return sorted(self._cities.items())


# --- tests ---

import unittest


class TestTwoWayCodes(unittest.TestCase):
    def setUp(self) -> None:
        self.codes = TwoWayCodes()
        self.codes.add("OSL", "Oslo")
        self.codes.add("GVA", "Geneva")
        self.before = [("GVA", "Geneva"), ("OSL", "Oslo")]

    def check_pairs(self, *expected: tuple[str, str]) -> None:
        self.assertEqual(self.codes.pairs(), list(expected))
        self.assertEqual([self.codes.code(city) for _, city in expected], [code for code, _ in expected])
        self.assertEqual([self.codes.city(code) for code, _ in expected], [city for _, city in expected])

    def test_both_directions(self) -> None:
        self.check_pairs(*self.before)

    def test_the_same_pair_again_is_fine(self) -> None:
        self.codes.add("OSL", "Oslo")
        self.check_pairs(*self.before)

    def test_a_pair_that_clashes_is_refused(self) -> None:
        for code, city in (("OSL", "Bergen"), ("FBU", "Oslo"), ("OSL", "Geneva")):
            with self.subTest(code=code, city=city), self.assertRaises(ValueError):
                self.codes.add(code, city)
        self.check_pairs(*self.before)
        for missing in (lambda: self.codes.code("Bergen"), lambda: self.codes.city("FBU")):
            self.assertRaises(KeyError, missing)

    def test_rename(self) -> None:
        self.codes.rename("Oslo", "Christiania")
        self.check_pairs(("GVA", "Geneva"), ("OSL", "Christiania"))
        with self.assertRaises(KeyError):
            self.codes.code("Oslo")

    def test_rename_to_the_same_name_changes_nothing(self) -> None:
        self.codes.rename("Oslo", "Oslo")
        self.check_pairs(*self.before)

    def test_rename_refuses_a_taken_or_unknown_name(self) -> None:
        with self.assertRaises(ValueError):
            self.codes.rename("Oslo", "Geneva")
        with self.assertRaises(KeyError):
            self.codes.rename("Bergen", "Berg")
        self.check_pairs(*self.before)

    def test_remove_frees_both_names(self) -> None:
        self.assertEqual(self.codes.remove("OSL"), "Oslo")
        self.check_pairs(("GVA", "Geneva"))
        self.codes.add("FBU", "Oslo")
        self.codes.add("OSL", "Bergen")
        self.check_pairs(("FBU", "Oslo"), ("GVA", "Geneva"), ("OSL", "Bergen"))

    def test_missing_entries(self) -> None:
        for ask in (lambda: self.codes.city("Oslo"), lambda: self.codes.code("OSL"), lambda: self.codes.remove("X")):
            self.assertRaises(KeyError, ask)

    def test_an_empty_table(self) -> None:
        self.assertEqual(TwoWayCodes().pairs(), [])
