"""Write parse_garden_note(note), which splits a note on whitespace and returns (text, tags, urgency). A word that
starts with "#" is a tag: drop the "#", any trailing ".", "," or ";" characters, and lower-case it; if nothing
remains, ignore the word entirely. Tags are listed once each, in order of first appearance. A word made only of "!"
characters adds their number to urgency, which starts at 0. All other words, joined by single blanks, are the text."""


def parse_garden_note(note: str) -> tuple[str, list[str], int]:
    text: list[str] = []
    tags: list[str] = []
    urgency = 0
    for word in note.split():
        if word.startswith("#"):
            tag = word[1:].rstrip(".,;").lower()
            if tag and tag not in tags:
                tags.append(tag)
        elif set(word) == {"!"}:
            urgency += len(word)
        else:
            text.append(word)
    return " ".join(text), tags, urgency


# --- tests ---

import unittest


class TestParseGardenNote(unittest.TestCase):
    def test_text_tags_and_urgency(self) -> None:
        self.assertEqual(
            parse_garden_note("Water the #Tomato bed !! #greenhouse"), ("Water the bed", ["tomato", "greenhouse"], 2)
        )

    def test_an_empty_note(self) -> None:
        self.assertEqual(parse_garden_note("   "), ("", [], 0))

    def test_repeated_tags_count_once_in_first_order(self) -> None:
        self.assertEqual(parse_garden_note("#rose #Fern #ROSE"), ("", ["rose", "fern"], 0))

    def test_trailing_punctuation_is_dropped_from_tags_only(self) -> None:
        self.assertEqual(parse_garden_note("Prune hedge, #hedge,; now."), ("Prune hedge, now.", ["hedge"], 0))

    def test_punctuation_inside_a_tag_stays(self) -> None:
        self.assertEqual(parse_garden_note("#bed.2."), ("", ["bed.2"], 0))

    def test_a_bare_hash_is_ignored(self) -> None:
        self.assertEqual(parse_garden_note("sow # #. beans"), ("sow beans", [], 0))

    def test_marks_add_up_over_words(self) -> None:
        self.assertEqual(parse_garden_note("! frost !!!"), ("frost", [], 4))

    def test_a_mark_attached_to_a_word_is_text(self) -> None:
        self.assertEqual(parse_garden_note("hurry! it is!now"), ("hurry! it is!now", [], 0))

    def test_a_hash_inside_a_word_is_text(self) -> None:
        self.assertEqual(parse_garden_note("plot#4\tdig"), ("plot#4 dig", [], 0))
