"""A source of tasks: sums of digits in any base, as many as there are bases, each with tests and a reference to put bugs into."""

from iterpref.registry import SOURCES
from iterpref.schema import Problem, SourceFile, TestSuite

TESTS = """import unittest
from solution import digit_sum


class DigitSum(unittest.TestCase):
    def test_of_zero(self):
        self.assertEqual(digit_sum(0), 0)

    def test_of_the_base(self):
        self.assertEqual(digit_sum({base}), 1)

    def test_of_two_digits(self):
        self.assertEqual(digit_sum({base} * {base} - 1), 2 * ({base} - 1))
"""
REFERENCE = """def digit_sum(number):
    total = 0
    while number > 0:
        total += number % {base}
        number = number // {base}
    return total
"""
SPLITS = ("train", "train", "validation", "test")


@SOURCES.register("digits")
def digits(config) -> list[Problem]:
    """Tasks with frozen tests; `split` is fixed for good."""
    return [
        Problem(
            task_id=f"digits/{base}",
            prompt=f"Write digit_sum(number): the sum of the digits of a whole number from 0 on, written in base {base}.",
            tests=TestSuite(
                (SourceFile("test_solution.py", TESTS.format(base=base)),), framework="unittest", n_tests=3
            ),
            reference=(SourceFile("solution.py", REFERENCE.format(base=base)),),
            source="digits",
            split=SPLITS[base % 4],
        )
        for base in range(2, 10)
    ]
