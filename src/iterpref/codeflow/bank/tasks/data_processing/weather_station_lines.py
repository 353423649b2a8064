"""Write `parse_station_lines(lines)` for a weather club. A good line reads "station;celsius;wind" with exactly three
fields, which may have spaces around them: a station that is not empty, a decimal number, a whole number not below 0.
Blank lines are skipped. Return (records, errors): the records are dicts "station" (upper case), "celsius" (float),
"wind" (int) in order; the errors are (line number from 1, "fields", "station", "celsius" or "wind") naming the first
thing wrong in that order."""

from typing import Any


def _parse(line: str) -> dict[str, Any]:
    fields = [field.strip() for field in line.split(";")]
    if len(fields) != 3:
        raise LookupError("fields")
    station, celsius, wind = fields
    if not station:
        raise LookupError("station")
    try:
        degrees = float(celsius)
    except ValueError:
        raise LookupError("celsius") from None
    if not wind.isdecimal():
        raise LookupError("wind")
    return {"station": station.upper(), "celsius": degrees, "wind": int(wind)}


def parse_station_lines(lines: list[str]) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    records = []
    errors = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            records.append(_parse(line))
        except LookupError as error:
            errors.append((number, str(error.args[0])))
    return records, errors


# --- tests ---

import unittest


class TestWeatherStationLines(unittest.TestCase):
    def test_no_lines(self) -> None:
        self.assertEqual(parse_station_lines([]), ([], []))

    def test_good_lines_in_order(self) -> None:
        records, errors = parse_station_lines(["pier;12.5;30", " Hill ; -3 ; 0 \n"])
        expected = [{"station": "PIER", "celsius": 12.5, "wind": 30}, {"station": "HILL", "celsius": -3.0, "wind": 0}]
        self.assertEqual(records, expected)
        self.assertEqual(errors, [])

    def test_values_are_converted(self) -> None:
        record = parse_station_lines(["pier;12;7"])[0][0]
        self.assertIsInstance(record["celsius"], float)
        self.assertIsInstance(record["wind"], int)

    def test_blank_lines_are_skipped_but_numbered(self) -> None:
        self.assertEqual(parse_station_lines(["", "  \n", "pier;x;1"]), ([], [(3, "celsius")]))

    def test_wrong_number_of_fields(self) -> None:
        self.assertEqual(parse_station_lines(["pier;1", "pier;1;2;3"])[1], [(1, "fields"), (2, "fields")])

    def test_empty_station(self) -> None:
        self.assertEqual(parse_station_lines([" ;1;2"])[1], [(1, "station")])

    def test_bad_wind(self) -> None:
        lines = ["pier;1;-2", "pier;1;2.5", "pier;1;", "pier;1;calm"]
        self.assertEqual(parse_station_lines(lines)[1], [(1, "wind"), (2, "wind"), (3, "wind"), (4, "wind")])

    def test_first_problem_is_named(self) -> None:
        self.assertEqual(parse_station_lines([";x;y", "pier;x;y"])[1], [(1, "station"), (2, "celsius")])

    def test_good_lines_survive_beside_bad_ones(self) -> None:
        records, errors = parse_station_lines(["a;1;1", "b;;1", "c;2;2"])
        self.assertEqual([record["station"] for record in records], ["A", "C"])
        self.assertEqual(errors, [(2, "celsius")])
