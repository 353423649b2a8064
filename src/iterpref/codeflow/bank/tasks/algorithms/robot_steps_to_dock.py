"""Write robot_steps_to_dock(floor), where floor is a list of equally long strings: "R" the robot, "D" the charging
docks, "#" shelves, "." free cells. The robot moves one cell up, down, left or right per step, never off the floor or
onto a shelf. Return the least number of steps to any dock, or None when none can be reached. A floor with no robot,
or with more than one, raises ValueError."""

from collections import deque


def robot_steps_to_dock(floor: list[str]) -> int | None:
    robots = [(row, col) for row, line in enumerate(floor) for col, cell in enumerate(line) if cell == "R"]
    if len(robots) != 1:
        raise ValueError(f"expected one robot, found {len(robots)}")
    waiting = deque([(robots[0], 0)])
    seen = set(robots)
    while waiting:
        (row, col), steps = waiting.popleft()
        if floor[row][col] == "D":
            return steps
        for near in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            on_floor = 0 <= near[0] < len(floor) and 0 <= near[1] < len(floor[0])
            if on_floor and near not in seen and floor[near[0]][near[1]] != "#":
                seen.add(near)
                waiting.append((near, steps + 1))
    return None


# --- tests ---

import unittest


class TestRobotStepsToDock(unittest.TestCase):
    def test_a_straight_line_in_each_direction(self) -> None:
        self.assertEqual(robot_steps_to_dock(["R..D"]), 3)
        self.assertEqual(robot_steps_to_dock(["D..R"]), 3)
        self.assertEqual(robot_steps_to_dock(["R", ".", "D"]), 2)
        self.assertEqual(robot_steps_to_dock(["D", ".", "R"]), 2)

    def test_next_to_the_dock(self) -> None:
        self.assertEqual(robot_steps_to_dock(["RD"]), 1)
        self.assertEqual(robot_steps_to_dock(["DR"]), 1)

    def test_around_a_shelf(self) -> None:
        self.assertEqual(robot_steps_to_dock(["R#D", ".#.", "..."]), 6)

    def test_the_nearest_of_several_docks(self) -> None:
        self.assertEqual(robot_steps_to_dock(["D....R..D", ".........", "....D...."]), 3)

    def test_the_dock_behind_a_wall_is_not_nearest(self) -> None:
        self.assertEqual(robot_steps_to_dock(["R#D", "...", "D##"]), 2)

    def test_no_way(self) -> None:
        self.assertIsNone(robot_steps_to_dock(["R#D", "##.", "..D"]))

    def test_no_dock(self) -> None:
        self.assertIsNone(robot_steps_to_dock(["R..", "..."]))

    def test_the_floor_does_not_wrap_around(self) -> None:
        self.assertIsNone(robot_steps_to_dock(["R.#D"]))
        self.assertIsNone(robot_steps_to_dock(["R", "#", "D"]))

    def test_a_diagonal_is_two_steps(self) -> None:
        self.assertEqual(robot_steps_to_dock(["R.", ".D"]), 2)

    def test_no_robot_or_two_robots(self) -> None:
        for floor in ([], ["..D"], ["R.R", "D.."]):
            with self.subTest(floor=floor), self.assertRaises(ValueError):
                robot_steps_to_dock(floor)
