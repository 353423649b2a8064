"""Write `setup_waves(needs)` for a museum crew. `needs` maps each job to the list of jobs that must be finished
before it. Return a list of waves: each wave is the alphabetically sorted list of all jobs whose needs lie in earlier
waves, so every job comes as early as possible. A job that is needed but is no key of `needs` raises KeyError. Jobs
that wait for each other in a circle raise ValueError. No jobs give an empty list; `needs` stays unchanged."""


def setup_waves(needs: dict[str, list[str]]) -> list[list[str]]:
    for job, before in needs.items():
        for other in before:
            if other not in needs:
                raise KeyError(f"{job} needs the unknown job {other}")
    waves: list[list[str]] = []
    finished: set[str] = set()
    while len(finished) < len(needs):
        wave = [job for job, before in needs.items() if job not in finished and finished.issuperset(before)]
        if not wave:
            raise ValueError(f"circle among {sorted(set(needs) - finished)}")
        waves.append(sorted(wave))
        finished.update(wave)
    return waves


# --- tests ---

import unittest


class TestExhibitSetupWaves(unittest.TestCase):
    def test_no_jobs(self) -> None:
        self.assertEqual(setup_waves({}), [])

    def test_independent_jobs_share_a_sorted_wave(self) -> None:
        self.assertEqual(setup_waves({"paint": [], "lamps": [], "rope": []}), [["lamps", "paint", "rope"]])

    def test_chain_has_one_job_a_wave(self) -> None:
        needs = {"label": ["vase"], "vase": ["plinth"], "plinth": []}
        self.assertEqual(setup_waves(needs), [["plinth"], ["vase"], ["label"]])

    def test_job_waits_for_its_latest_need(self) -> None:
        needs = {"a": [], "b": ["a"], "c": ["b", "a"], "d": ["a"], "e": []}
        self.assertEqual(setup_waves(needs), [["a", "e"], ["b", "d"], ["c"]])

    def test_unknown_need_raises(self) -> None:
        with self.assertRaises(KeyError):
            setup_waves({"vase": ["plinth"]})

    def test_circle_raises(self) -> None:
        with self.assertRaises(ValueError):
            setup_waves({"a": [], "b": ["c"], "c": ["b"]})

    def test_job_that_needs_itself_raises(self) -> None:
        with self.assertRaises(ValueError):
            setup_waves({"a": ["a"]})

    def test_input_is_unchanged(self) -> None:
        needs = {"b": ["a"], "a": []}
        setup_waves(needs)
        self.assertEqual(needs, {"b": ["a"], "a": []})
