"""Write a class UndoDraft(text="", limit=3) for a note editor. The attribute text is the current text. change(text)
makes a new text current; the same text again does nothing at all. undo() goes back one step, redo() forward one; both
return True, or False if there is no such step. A real change forgets all steps that could be redone. Only the newest
limit steps can be undone; a limit of 0 allows no undo, a negative one raises ValueError. steps() returns (undoable,
redoable)."""


class UndoDraft:
    def __init__(self, text: str = "", limit: int = 3) -> None:
        if limit < 0:
            raise ValueError(f"limit must not be negative: {limit}")
        self.text = text
        self._limit = limit
        self._past: list[str] = []
        self._future: list[str] = []

    def change(self, text: str) -> None:
        if text == self.text:
            return
        self._past.append(self.text)
        if len(self._past) > self._limit:
            del self._past[0]
        self._future.clear()
        self.text = text

    def undo(self) -> bool:
        if not self._past:
            return False
        self._future.append(self.text)
        self.text = self._past.pop()
        return True

    def redo(self) -> bool:
        if not self._future:
            return False
        self._past.append(self.text)
        self.text = self._future.pop()
        return True

    def steps(self) -> tuple[int, int]:
        return len(self._past), len(self._future)


# --- tests ---

import unittest


class TestUndoDraft(unittest.TestCase):
    def draft(self, *texts: str, limit: int = 3) -> UndoDraft:
        draft = UndoDraft(limit=limit)
        for text in texts:
            draft.change(text)
        return draft

    def test_a_new_draft(self) -> None:
        self.assertEqual((UndoDraft().text, UndoDraft("hi").text), ("", "hi"))
        self.assertEqual(UndoDraft("hi").steps(), (0, 0))

    def test_undo_goes_back_step_by_step(self) -> None:
        draft = self.draft("a", "ab")
        self.assertIs(draft.undo(), True)
        self.assertEqual(draft.text, "a")
        self.assertIs(draft.undo(), True)
        self.assertEqual(draft.text, "")
        self.assertIs(draft.undo(), False)
        self.assertEqual(draft.text, "")

    def test_redo_goes_forward_again(self) -> None:
        draft = self.draft("a", "ab")
        draft.undo()
        draft.undo()
        self.assertIs(draft.redo(), True)
        self.assertEqual((draft.text, draft.steps()), ("a", (1, 1)))
        self.assertIs(draft.redo(), True)
        self.assertEqual(draft.text, "ab")
        self.assertIs(draft.redo(), False)
        self.assertEqual((draft.text, draft.steps()), ("ab", (2, 0)))

    def test_a_change_forgets_what_could_be_redone(self) -> None:
        draft = self.draft("a", "ab")
        draft.undo()
        draft.change("ax")
        self.assertEqual(draft.steps(), (2, 0))
        self.assertIs(draft.redo(), False)
        draft.undo()
        self.assertEqual(draft.text, "a")

    def test_the_same_text_does_nothing(self) -> None:
        draft = self.draft("a", "ab")
        draft.undo()
        draft.change("a")
        self.assertEqual(draft.steps(), (1, 1))

    def test_only_the_newest_steps_are_kept(self) -> None:
        draft = UndoDraft()
        for text in "1234":
            draft.change(text)
        self.assertEqual(draft.steps(), (3, 0))
        while draft.undo():
            pass
        self.assertEqual((draft.text, draft.steps()), ("1", (0, 3)))

    def test_the_limit_can_be_set(self) -> None:
        draft = self.draft("1", "2", "3", limit=1)
        draft.undo()
        self.assertEqual((draft.text, draft.steps()), ("2", (0, 1)))
        self.assertEqual(self.draft("1", "2", "3", limit=3).steps(), (3, 0))

    def test_no_undo_at_all(self) -> None:
        draft = self.draft("1", "2", limit=0)
        self.assertEqual((draft.text, draft.steps(), draft.undo()), ("2", (0, 0), False))

    def test_a_negative_limit_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            UndoDraft("x", -1)
