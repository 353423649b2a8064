"""Write `rejoin_paragraphs(lines)` for scanned pages. Strip each line; blank lines separate paragraphs. Join
the lines of a paragraph with single spaces, except where a line ends with a hyphen directly after a letter and
the next line of the same paragraph begins with a lower-case letter: then drop the hyphen and join without a
space. Lines that hold only digits are page numbers: ignore them completely, even inside a paragraph. Return the
list of paragraphs, without empty ones."""


def is_broken(line: str, following: str) -> bool:
    return line[-1] == "-" and line[-2:-1].isalpha() and following[0].islower()


def rejoin_paragraphs(lines: list[str]) -> list[str]:
    paragraphs = []
    current = ""
    for raw in [*lines, ""]:
        line = raw.strip()
        if line.isdigit():
            continue
        if not line:
            if current:
                paragraphs.append(current)
            current = ""
        elif not current:
            current = line
        elif is_broken(current, line):
            current = current[:-1] + line
        else:
            current += " " + line
    return paragraphs


# --- tests ---

import unittest


class TestScannedPageRejoiner(unittest.TestCase):
    def test_lines_are_joined_by_spaces(self) -> None:
        self.assertEqual(rejoin_paragraphs(["The mill ", "  stood still."]), ["The mill stood still."])

    def test_blank_lines_separate_paragraphs(self) -> None:
        self.assertEqual(rejoin_paragraphs(["", "One", "", "   ", "two", ""]), ["One", "two"])

    def test_broken_word_is_repaired(self) -> None:
        self.assertEqual(rejoin_paragraphs(["the water-", "wheel turned"]), ["the waterwheel turned"])

    def test_several_breaks_in_a_row(self) -> None:
        self.assertEqual(rejoin_paragraphs(["un-", "believ-", "able"]), ["unbelievable"])

    def test_upper_case_keeps_the_hyphen(self) -> None:
        self.assertEqual(rejoin_paragraphs(["the Upper-", "Lower line"]), ["the Upper- Lower line"])

    def test_hyphen_not_after_a_letter_stays(self) -> None:
        self.assertEqual(rejoin_paragraphs(["pages 3-", "to 9"]), ["pages 3- to 9"])
        self.assertEqual(rejoin_paragraphs(["wait -", "so"]), ["wait - so"])
        self.assertEqual(rejoin_paragraphs(["-", "so"]), ["- so"])

    def test_letter_after_a_digit_is_enough(self) -> None:
        self.assertEqual(rejoin_paragraphs(["the 4x-", "ray"]), ["the 4xray"])

    def test_hyphen_at_the_end_of_a_paragraph_stays(self) -> None:
        self.assertEqual(rejoin_paragraphs(["water-", "", "wheel"]), ["water-", "wheel"])

    def test_page_numbers_vanish(self) -> None:
        self.assertEqual(rejoin_paragraphs(["the water-", " 41 ", "wheel", "42"]), ["the waterwheel"])
        self.assertEqual(rejoin_paragraphs(["in 1900", "it ran"]), ["in 1900 it ran"])

    def test_nothing(self) -> None:
        self.assertEqual(rejoin_paragraphs([]), [])
        self.assertEqual(rejoin_paragraphs(["", "7"]), [])
