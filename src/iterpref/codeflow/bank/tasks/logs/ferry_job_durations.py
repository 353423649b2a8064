"""Write `job_report(lines)` for a ferry terminal's log. Lines, in order of time, are "<seconds> begin <job>" or
"<seconds> end <job>": unsigned whole seconds, a job without spaces. Return `(durations, open_jobs, stray)`:
`durations` maps each ended job to its list of seconds from begin to end; `open_jobs` lists the jobs begun but not
ended, sorted; `stray` counts ends without a begin. A second begin of an open job replaces the first. Any other line
raises ValueError with the line's number, counted from 1, in its message."""


def job_report(lines: list[str]) -> tuple[dict[str, list[int]], list[str], int]:
    durations: dict[str, list[int]] = {}
    begun: dict[str, int] = {}
    stray = 0
    for number, line in enumerate(lines, start=1):
        parts = line.split()
        if len(parts) != 3 or not parts[0].isdecimal() or parts[1] not in ("begin", "end"):
            raise ValueError(f"line {number} is not a begin or an end: {line!r}")
        moment, action, job = int(parts[0]), parts[1], parts[2]
        if action == "begin":
            begun[job] = moment
        elif job in begun:
            durations.setdefault(job, []).append(moment - begun.pop(job))
        else:
            stray += 1
    return durations, sorted(begun), stray


# --- tests ---

import unittest


class TestJobReport(unittest.TestCase):
    def test_one_job(self) -> None:
        self.assertEqual(job_report(["100 begin boarding", "340 end boarding"]), ({"boarding": [240]}, [], 0))

    def test_jobs_may_overlap(self) -> None:
        lines = ["0 begin boarding", "5 begin fuel", "9 end boarding", "30 end fuel"]
        self.assertEqual(job_report(lines), ({"boarding": [9], "fuel": [25]}, [], 0))

    def test_a_job_may_run_again(self) -> None:
        lines = ["1 begin wash", "4 end wash", "10 begin wash", "10 end wash"]
        self.assertEqual(job_report(lines), ({"wash": [3, 0]}, [], 0))

    def test_open_jobs_are_sorted(self) -> None:
        self.assertEqual(
            job_report(["1 begin wash", "2 begin fuel", "3 begin crew", "4 end fuel"])[1], ["crew", "wash"]
        )

    def test_a_second_begin_replaces_the_first(self) -> None:
        self.assertEqual(job_report(["1 begin wash", "7 begin wash", "9 end wash"]), ({"wash": [2]}, [], 0))

    def test_ends_without_a_begin_are_counted(self) -> None:
        lines = ["1 end wash", "2 begin fuel", "3 end fuel", "4 end fuel"]
        self.assertEqual(job_report(lines), ({"fuel": [1]}, [], 2))

    def test_no_lines(self) -> None:
        self.assertEqual(job_report([]), ({}, [], 0))

    def test_other_lines_raise_with_their_number(self) -> None:
        for line in ("", "5 pause wash", "x begin wash", "-5 begin wash", "5 begin", "5 begin car wash"):
            with self.assertRaises(ValueError) as caught:
                job_report(["41 begin wash", line])
            self.assertIn("2", str(caught.exception).replace(repr(line), ""))

    def test_the_first_line_has_number_one(self) -> None:
        with self.assertRaisesRegex(ValueError, "1"):
            job_report(["oops"])
