"""Write `donor_obstacles(donor, today)` for a blood donation bus: the reasons why the `Donor` may not give blood
today, in this order. "age": under 18 or over 68 completed years (born on 29 February counts as older from 1 March).
"weight": below 50 kg. "too soon": the last donation is fewer than 56 days ago. "too often": 6 or more donations for
sex "m", 4 or more for "f", on days between 365 days ago and yesterday, both included. `donations` may be empty and
is in any order. An empty list means welcome."""

from dataclasses import dataclass, field
from datetime import date


@dataclass
class Donor:
    born: date
    weight_kg: float
    sex: str
    donations: list[date] = field(default_factory=list)


def donor_obstacles(donor: Donor, today: date) -> list[str]:
    reasons: list[str] = []
    had_birthday = (today.month, today.day) >= (donor.born.month, donor.born.day)
    age = today.year - donor.born.year - (0 if had_birthday else 1)
    if not 18 <= age <= 68:
        reasons.append("age")
    if donor.weight_kg < 50:
        reasons.append("weight")
    if donor.donations and (today - max(donor.donations)).days < 56:
        reasons.append("too soon")
    recent = [day for day in donor.donations if 1 <= (today - day).days <= 365]
    if len(recent) >= (6 if donor.sex == "m" else 4):
        reasons.append("too often")
    return reasons


# --- tests ---

import unittest
from datetime import date, timedelta

TODAY = date(2023, 6, 15)


def donor(born: date = date(1980, 1, 1), kg: float = 70, sex: str = "m", ago: tuple[int, ...] = ()) -> Donor:
    return Donor(born, kg, sex, [TODAY - timedelta(days=days) for days in ago])


class TestDonorObstacles(unittest.TestCase):
    def test_a_welcome_donor(self) -> None:
        self.assertEqual(donor_obstacles(donor(), TODAY), [])

    def test_the_eighteenth_birthday(self) -> None:
        self.assertEqual(donor_obstacles(donor(born=date(2005, 6, 15)), TODAY), [])
        self.assertEqual(donor_obstacles(donor(born=date(2005, 6, 16)), TODAY), ["age"])

    def test_sixty_eight_is_allowed_until_the_next_birthday(self) -> None:
        self.assertEqual(donor_obstacles(donor(born=date(1954, 6, 16)), TODAY), [])
        self.assertEqual(donor_obstacles(donor(born=date(1954, 6, 15)), TODAY), ["age"])

    def test_age_counts_completed_years(self) -> None:
        years = [date(2006, 1, 1), date(2004, 12, 31), date(1955, 1, 1), date(1953, 12, 31)]
        self.assertEqual([donor_obstacles(donor(born=day), TODAY) for day in years], [["age"], [], [], ["age"]])

    def test_born_on_a_leap_day(self) -> None:
        self.assertEqual(donor_obstacles(donor(born=date(2004, 2, 29)), date(2022, 2, 28)), ["age"])
        self.assertEqual(donor_obstacles(donor(born=date(2004, 2, 29)), date(2022, 3, 1)), [])

    def test_weight(self) -> None:
        self.assertEqual(donor_obstacles(donor(kg=50.0), TODAY), [])
        self.assertEqual(donor_obstacles(donor(kg=49.9), TODAY), ["weight"])

    def test_the_pause_after_the_newest_donation(self) -> None:
        self.assertEqual(donor_obstacles(donor(ago=(56, 200)), TODAY), [])
        self.assertEqual(donor_obstacles(donor(ago=(200, 55)), TODAY), ["too soon"])

    def test_donations_a_year(self) -> None:
        self.assertEqual(donor_obstacles(donor(ago=(60, 120, 180, 240, 300)), TODAY), [])
        self.assertEqual(donor_obstacles(donor(ago=(60, 120, 180, 240, 300, 365)), TODAY), ["too often"])
        self.assertEqual(donor_obstacles(donor(ago=(60, 120, 180, 240, 300, 366)), TODAY), [])

    def test_women_give_less_often(self) -> None:
        self.assertEqual(donor_obstacles(donor(sex="f", ago=(60, 120, 180)), TODAY), [])
        self.assertEqual(donor_obstacles(donor(sex="f", ago=(60, 120, 180, 240)), TODAY), ["too often"])

    def test_a_donation_of_today_is_not_counted_for_the_year(self) -> None:
        self.assertEqual(donor_obstacles(donor(sex="f", ago=(0, 120, 180, 240)), TODAY), ["too soon"])

    def test_yesterday_is_counted_for_the_year(self) -> None:
        self.assertEqual(donor_obstacles(donor(sex="f", ago=(1, 120, 180, 240)), TODAY), ["too soon", "too often"])

    def test_all_reasons_in_order(self) -> None:
        young = donor(born=date(2010, 1, 1), kg=40, sex="f", ago=(10, 20, 30, 40))
        self.assertEqual(donor_obstacles(young, TODAY), ["age", "weight", "too soon", "too often"])
