"""Write `plan_tree(text)` for indented to-do plans. Each non-blank line is a task; it belongs under the nearest
line above with smaller indentation, counted in spaces. Return a list of `(task, children)` tuples, the children
being such a list again, with tasks stripped. Siblings must have equal indentation, and the first line none: a
line whose indentation equals none of the lines it could be a sibling of raises ValueError. A tab in the
indentation raises ValueError too. Blank lines are ignored; an empty text gives an empty list."""

Tree = list[tuple[str, "Tree"]]


def plan_tree(text: str) -> Tree:
    rows = []
    for line in text.splitlines():
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        if "\t" in line[:indent]:
            raise ValueError("indent with spaces, not tabs")
        rows.append((indent, line.strip()))
    tree, _ = _siblings(rows, 0, 0)
    return tree


def _siblings(rows: list[tuple[int, str]], start: int, indent: int) -> tuple[Tree, int]:
    tree: Tree = []
    position = start
    while position < len(rows) and rows[position][0] >= indent:
        depth, task = rows[position]
        if depth > indent:
            raise ValueError(f"wrong indentation: {task}")
        position += 1
        children: Tree = []
        if position < len(rows) and rows[position][0] > indent:
            children, position = _siblings(rows, position, rows[position][0])
        tree.append((task, children))
    return tree, position


# --- tests ---

import unittest


class TestIndentedPlanTree(unittest.TestCase):
    def test_flat_plan(self) -> None:
        self.assertEqual(plan_tree("sow\nwater\n"), [("sow", []), ("water", [])])

    def test_children(self) -> None:
        self.assertEqual(
            plan_tree("garden\n  sow\n  water\nhouse\n  paint"),
            [("garden", [("sow", []), ("water", [])]), ("house", [("paint", [])])],
        )

    def test_deep_plan_returns_to_the_top(self) -> None:
        self.assertEqual(
            plan_tree("a\n b\n  c\n   d\n  e\nf"), [("a", [("b", [("c", [("d", [])]), ("e", [])])]), ("f", [])]
        )

    def test_several_levels_are_left_at_once(self) -> None:
        self.assertEqual(plan_tree("a\n b\n  c\n d"), [("a", [("b", [("c", [])]), ("d", [])])])

    def test_each_family_has_its_own_step(self) -> None:
        self.assertEqual(plan_tree("a\n    b\nc\n d"), [("a", [("b", [])]), ("c", [("d", [])])])

    def test_blank_lines_are_ignored(self) -> None:
        self.assertEqual(plan_tree("\na\n\n   \n  b  \n"), [("a", [("b", [])])])

    def test_in_between_indentation_raises(self) -> None:
        for text in ("a\n    b\n  c", "a\n  b\n    c\n   d", "a\n  b\n c"):
            with self.subTest(text=text), self.assertRaises(ValueError):
                plan_tree(text)

    def test_indented_first_line_raises(self) -> None:
        with self.assertRaises(ValueError):
            plan_tree("  a\n  b")
        with self.assertRaises(ValueError):
            plan_tree(" a\nb")

    def test_tab_raises_only_in_the_indentation(self) -> None:
        with self.assertRaises(ValueError):
            plan_tree("a\n\tb")
        self.assertEqual(plan_tree("a\tb\t"), [("a\tb", [])])

    def test_empty_text(self) -> None:
        self.assertEqual(plan_tree(""), [])
