"""docs/examples/suffix_localiser.py: which lines differ."""

from iterpref.data.diff import localise


def test_all_lines_from_the_first_difference_on_differ() -> None:
    found = localise("a\nx\nc\n", "a\nb\nc\nd\n", "suffix")
    assert (found.d_minus, found.d_plus) == ((1, 2), (1, 2, 3))


def test_equal_texts_do_not_differ() -> None:
    assert localise("a\nb", "a\nb", "suffix").d_minus == ()
