"""Write `sentence_length_report(text)` for an editor. A sentence ends with one or more of the characters . ! ? or at
the end of the text; words are separated by white space, and pieces without any word are no sentences. Return a dict
with the keys "sentences" (how many), "shortest" and "longest" (numbers of words) and "mean" (words per sentence,
rounded to one decimal). For a text without sentences all four are 0."""

import re


def sentence_length_report(text: str) -> dict[str, float]:
    counts = [len(piece.split()) for piece in re.split(r"[.!?]+", text)]
    counts = [count for count in counts if count > 0]
    if not counts:
        return {"sentences": 0, "shortest": 0, "longest": 0, "mean": 0}
    return {
        "sentences": len(counts),
        "shortest": min(counts),
        "longest": max(counts),
        "mean": round(sum(counts) / len(counts), 1),
    }


# --- tests ---

import unittest


def report(sentences: int, shortest: int, longest: int, mean: float) -> dict[str, float]:
    return {"sentences": sentences, "shortest": shortest, "longest": longest, "mean": mean}


class TestSentenceLengthReport(unittest.TestCase):
    def test_three_sentences(self) -> None:
        text = "The boat left. Nobody saw it go! Why?"
        self.assertEqual(sentence_length_report(text), report(3, 1, 4, 2.7))

    def test_mean_is_rounded_to_one_decimal(self) -> None:
        self.assertEqual(sentence_length_report("One two. One. One."), report(3, 1, 2, 1.3))

    def test_last_sentence_needs_no_mark(self) -> None:
        self.assertEqual(sentence_length_report("We sail. We never come back"), report(2, 2, 4, 3.0))

    def test_repeated_marks_end_one_sentence(self) -> None:
        self.assertEqual(sentence_length_report("Wait... what?! Oh dear me."), report(3, 1, 3, 1.7))

    def test_one_sentence(self) -> None:
        self.assertEqual(sentence_length_report("Only this."), report(1, 2, 2, 2.0))

    def test_line_breaks_separate_words(self) -> None:
        self.assertEqual(sentence_length_report("a\nb\n\tc."), report(1, 3, 3, 3.0))

    def test_commas_do_not_end_a_sentence(self) -> None:
        self.assertEqual(sentence_length_report("One, two; three."), report(1, 3, 3, 3.0))

    def test_nothing_to_count(self) -> None:
        for text in ("", "   ", "... ! ?"):
            self.assertEqual(sentence_length_report(text), report(0, 0, 0, 0))
