"""Write order_kitchen_steps(needs) for a cooking planner. Needs maps a step to the list of steps that must be
finished before it; a step named only inside a list also exists and needs nothing. Repeats in a list do not matter.
Return all steps in an order that respects the needs; whenever several steps are possible, the alphabetically first
comes next. Nothing to do gives []. If the needs form a circle, including a step that needs itself, raise ValueError.
Leave needs unchanged."""

import heapq


def order_kitchen_steps(needs: dict[str, list[str]]) -> list[str]:
    missing: dict[str, set[str]] = {}
    followers: dict[str, set[str]] = {}
    for step, earlier in needs.items():
        missing[step] = set(earlier)
        for name in earlier:
            followers.setdefault(name, set()).add(step)
    ready = [name for name in set(missing) | set(followers) if not missing.get(name)]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        done = heapq.heappop(ready)
        order.append(done)
        for step in followers.get(done, ()):
            missing[step].discard(done)
            if not missing[step]:
                heapq.heappush(ready, step)
    if len(order) < len(set(missing) | set(followers)):
        raise ValueError("the steps wait for each other")
    return order


# --- tests ---

import unittest


class TestOrderKitchenSteps(unittest.TestCase):
    def test_nothing_to_do(self) -> None:
        self.assertEqual(order_kitchen_steps({}), [])

    def test_a_chain(self) -> None:
        self.assertEqual(
            order_kitchen_steps({"bake": ["knead"], "knead": ["weigh"], "weigh": []}), ["weigh", "knead", "bake"]
        )

    def test_steps_named_only_as_a_need_are_included(self) -> None:
        self.assertEqual(order_kitchen_steps({"fry": ["chop", "boil"]}), ["boil", "chop", "fry"])

    def test_the_alphabetical_order_decides_among_possible_steps(self) -> None:
        needs = {"zest": [], "mix": [], "apple": ["mix"], "dough": ["zest"]}
        self.assertEqual(order_kitchen_steps(needs), ["mix", "apple", "zest", "dough"])

    def test_a_step_waits_for_all_its_needs(self) -> None:
        self.assertEqual(order_kitchen_steps({"a": ["b", "z"], "c": ["b"]}), ["b", "c", "z", "a"])

    def test_repeated_needs_do_not_matter(self) -> None:
        self.assertEqual(order_kitchen_steps({"serve": ["cook", "cook"], "cook": []}), ["cook", "serve"])

    def test_independent_steps(self) -> None:
        self.assertEqual(order_kitchen_steps({"c": [], "a": [], "b": []}), ["a", "b", "c"])

    def test_circles_are_refused(self) -> None:
        for needs in ({"a": ["a"]}, {"a": ["b"], "b": ["a"]}, {"x": [], "a": ["b"], "b": ["c"], "c": ["a", "x"]}):
            with self.subTest(needs=needs), self.assertRaises(ValueError):
                order_kitchen_steps(needs)

    def test_needs_stay_unchanged(self) -> None:
        needs = {"b": ["a", "a"], "a": []}
        order_kitchen_steps(needs)
        self.assertEqual(needs, {"b": ["a", "a"], "a": []})
