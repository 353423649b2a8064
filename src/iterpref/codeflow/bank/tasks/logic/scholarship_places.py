"""Write `score(applicant)` and `award_places(applicants, places)` for a music school. The score is the audition
mark, plus 10 for every full grade better than 4.0 (1.0 is best; 2.7 is one full grade better), plus 5 if local. A
mark below 60 is refused. Others are ranked by score, then mark (both highest first), then name. The first `places`
are awarded, the next `places // 2` wait, the rest are refused. Return three lists of names: awarded and waiting by
rank, refused in alphabetical order. The list stays unchanged."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Applicant:
    name: str
    mark: int
    grade: float
    local: bool = False


def score(applicant: Applicant) -> int:
    bonus = 10 * max(0, int(round(4.0 - applicant.grade, 6)))
    return applicant.mark + bonus + (5 if applicant.local else 0)


def award_places(applicants: list[Applicant], places: int) -> tuple[list[str], list[str], list[str]]:
    able = [applicant for applicant in applicants if applicant.mark >= 60]
    able.sort(key=lambda applicant: (-score(applicant), -applicant.mark, applicant.name))
    ranked = [applicant.name for applicant in able]
    last_waiting = places + places // 2
    awarded, waiting = ranked[:places], ranked[places:last_waiting]
    refused = [applicant.name for applicant in applicants if applicant.name not in awarded + waiting]
    return awarded, waiting, sorted(refused)


# --- tests ---

import unittest


class TestAwardPlaces(unittest.TestCase):
    def test_the_score_without_bonus(self) -> None:
        self.assertEqual(score(Applicant("Ann", 75, 4.0)), 75)
        self.assertEqual(score(Applicant("Ann", 75, 6.0)), 75)

    def test_full_grades_better_than_four(self) -> None:
        scores = [score(Applicant("Ann", 60, grade)) for grade in (3.1, 3.0, 2.7, 2.0, 1.1, 1.0)]
        self.assertEqual(scores, [60, 70, 70, 80, 80, 90])

    def test_locals_get_five(self) -> None:
        self.assertEqual(score(Applicant("Ann", 75, 4.0, True)), 80)
        self.assertEqual(score(Applicant("Ann", 75, 1.9, True)), 100)

    def test_awarded_waiting_and_refused(self) -> None:
        people = [Applicant(name, mark, 5.0) for name, mark in zip("ABCDE", (70, 90, 80, 65, 61), strict=True)]
        self.assertEqual(award_places(people, 2), (["B", "C"], ["A"], ["D", "E"]))
        self.assertEqual(award_places(people, 3), (["B", "C", "A"], ["D"], ["E"]))
        self.assertEqual(award_places(people, 1), (["B"], [], ["A", "C", "D", "E"]))

    def test_a_mark_below_sixty_is_refused_whatever_the_score(self) -> None:
        people = [Applicant("Ann", 59, 1.0, True), Applicant("Bo", 60, 5.0)]
        self.assertEqual(award_places(people, 4), (["Bo"], [], ["Ann"]))

    def test_equal_scores_are_decided_by_mark_then_name(self) -> None:
        people = [
            Applicant("Cy", 70, 3.0),
            Applicant("Bo", 80, 4.0),
            Applicant("Al", 70, 3.0),
            Applicant("Di", 75, 4.0, True),
        ]
        self.assertEqual(award_places(people, 4)[0], ["Bo", "Di", "Al", "Cy"])

    def test_refused_are_in_alphabetical_order(self) -> None:
        people = [
            Applicant("Zoe", 10, 1.0),
            Applicant("Max", 61, 5.0),
            Applicant("Abe", 60, 5.0),
            Applicant("Ida", 99, 5.0),
        ]
        self.assertEqual(award_places(people, 1), (["Ida"], [], ["Abe", "Max", "Zoe"]))

    def test_no_places_and_no_applicants(self) -> None:
        self.assertEqual(award_places([Applicant("Ann", 90, 1.0)], 0), ([], [], ["Ann"]))
        self.assertEqual(award_places([], 3), ([], [], []))

    def test_the_list_of_applicants_keeps_its_order(self) -> None:
        people = [Applicant("Ann", 61, 5.0), Applicant("Bo", 90, 5.0)]
        award_places(people, 1)
        self.assertEqual([person.name for person in people], ["Ann", "Bo"])
