"""Write `vote_result(members, votes, share=0.5)` for a library board. `members` is the number of members, `votes` a
list of "for", "against" and "abstain". With fewer votes cast (abstentions count as cast) than half of the members the
result is "no quorum". Otherwise it is "passed" when the votes for are strictly more than `share` of the for and
against votes together, else "failed"; with only abstentions it failed. An unknown vote or more votes than members
raises ValueError."""

from collections import Counter


def vote_result(members: int, votes: list[str], share: float = 0.5) -> str:
    counts = Counter(votes)
    unknown = set(counts) - {"for", "against", "abstain"}
    if unknown:
        raise ValueError(f"unknown votes {sorted(unknown)}")
    if len(votes) > members:
        raise ValueError(f"{len(votes)} votes of {members} members")
    if 2 * len(votes) < members:
        return "no quorum"
    decided = counts["for"] + counts["against"]
    if counts["for"] > share * decided:
        return "passed"
    return "failed"


# --- tests ---

import unittest


class TestLibraryBoardVote(unittest.TestCase):
    def test_plain_majority(self) -> None:
        self.assertEqual(vote_result(5, ["for", "for", "for", "against", "against"]), "passed")
        self.assertEqual(vote_result(5, ["for", "for", "against", "against", "against"]), "failed")

    def test_even_vote_fails(self) -> None:
        self.assertEqual(vote_result(2, ["for", "against"]), "failed")

    def test_quorum_is_half_of_the_members(self) -> None:
        self.assertEqual(vote_result(6, ["for", "for", "for"]), "passed")
        self.assertEqual(vote_result(7, ["for", "for", "for"]), "no quorum")
        self.assertEqual(vote_result(6, ["for", "for"]), "no quorum")

    def test_abstentions_count_for_the_quorum_only(self) -> None:
        self.assertEqual(vote_result(6, ["for", "abstain", "abstain"]), "passed")
        self.assertEqual(vote_result(4, ["against", "abstain", "abstain"]), "failed")

    def test_only_abstentions_fail(self) -> None:
        self.assertEqual(vote_result(3, ["abstain", "abstain"]), "failed")

    def test_share_is_strict(self) -> None:
        votes = ["for", "for", "for", "against"]
        self.assertEqual(vote_result(4, votes, 0.75), "failed")
        self.assertEqual(vote_result(4, votes, 0.74), "passed")

    def test_unknown_vote_raises(self) -> None:
        with self.assertRaises(ValueError):
            vote_result(2, ["for", "yes"])

    def test_more_votes_than_members_raises(self) -> None:
        with self.assertRaises(ValueError):
            vote_result(1, ["for", "for"])

    def test_nobody_voted(self) -> None:
        self.assertEqual(vote_result(3, []), "no quorum")
        self.assertEqual(vote_result(0, []), "failed")
