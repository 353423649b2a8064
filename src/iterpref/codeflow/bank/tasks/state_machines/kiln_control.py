"""Write `kiln_commands(temperatures, target, band, cutoff)` for a pottery kiln whose heater starts off. For each
temperature, append "on", "off" or "hold" to the returned list. A heater that is off switches "on" at `target` -
`band` or below; one that is on switches "off" at `target` or above; otherwise "hold". A temperature above `cutoff`
trips the kiln: the command is "off" if the heater was on, else "hold", and from then on always "hold". Raise
ValueError if `band` is not positive or `cutoff` is not above `target`."""

from collections.abc import Iterable


def kiln_commands(temperatures: Iterable[float], target: float, band: float, cutoff: float) -> list[str]:
    if band <= 0 or cutoff <= target:
        raise ValueError("band must be positive and cutoff above target")
    commands: list[str] = []
    heating = tripped = False
    for temperature in temperatures:
        if temperature > cutoff:
            tripped = True
        if heating and (tripped or temperature >= target):
            heating = False
            commands.append("off")
        elif not heating and not tripped and temperature <= target - band:
            heating = True
            commands.append("on")
        else:
            commands.append("hold")
    return commands


# --- tests ---

import unittest


class TestKilnCommands(unittest.TestCase):
    def test_heats_up_and_switches_off(self) -> None:
        self.assertEqual(kiln_commands([20, 500, 900, 1000], 1000, 50, 1100), ["on", "hold", "hold", "off"])

    def test_switching_on_at_the_lower_edge(self) -> None:
        self.assertEqual(kiln_commands([951, 950], 1000, 50, 1100), ["hold", "on"])

    def test_switching_off_at_the_target(self) -> None:
        self.assertEqual(kiln_commands([900, 999, 1000], 1000, 50, 1100), ["on", "hold", "off"])

    def test_holds_inside_the_band_either_way(self) -> None:
        temperatures = [900, 970, 1005, 970, 940, 970]
        self.assertEqual(kiln_commands(temperatures, 1000, 50, 1100), ["on", "hold", "off", "hold", "on", "hold"])

    def test_the_cutoff_itself_does_not_trip(self) -> None:
        self.assertEqual(kiln_commands([900, 1100, 900], 1000, 50, 1100), ["on", "off", "on"])

    def test_above_the_cutoff_trips_a_heating_kiln(self) -> None:
        self.assertEqual(kiln_commands([900, 1101, 900, 20], 1000, 50, 1100), ["on", "off", "hold", "hold"])

    def test_above_the_cutoff_trips_an_idle_kiln(self) -> None:
        self.assertEqual(kiln_commands([1101, 900, 1200], 1000, 50, 1100), ["hold", "hold", "hold"])

    def test_no_temperatures_no_commands(self) -> None:
        self.assertEqual(kiln_commands([], 1000, 50, 1100), [])

    def test_bad_settings_are_refused(self) -> None:
        self.assertEqual(kiln_commands([99], 100, 1, 101), ["on"])
        for band, cutoff in ((0, 1100), (-5, 1100), (50, 1000), (50, 900)):
            with self.assertRaises(ValueError):
                kiln_commands([], 1000, band, cutoff)
