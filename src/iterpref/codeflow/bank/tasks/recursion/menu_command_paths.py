"""Write `menu_command_paths(menu, separator=" > ")`. `menu` maps a label to a command (a text) or to a submenu of the
same kind. Return a dict from command to the path of labels that leads to it, joined by `separator`, such as
"File > Export > As PDF", in the order of the menu from top to bottom. A command that appears several times keeps its
first path. Empty submenus add nothing."""

Menu = dict[str, "str | Menu"]


def menu_command_paths(menu: Menu, separator: str = " > ") -> dict[str, str]:
    paths: dict[str, str] = {}
    for label, entry in menu.items():
        if isinstance(entry, str):
            paths.setdefault(entry, label)
        else:
            for command, path in menu_command_paths(entry, separator).items():
                paths.setdefault(command, label + separator + path)
    return paths


# --- tests ---

import unittest


class TestMenuCommandPaths(unittest.TestCase):
    def test_flat_menu(self) -> None:
        self.assertEqual(menu_command_paths({"Cut": "cut", "Copy": "copy"}), {"cut": "Cut", "copy": "Copy"})

    def test_nested_menu(self) -> None:
        menu: dict = {"File": {"Open": "open", "Export": {"As PDF": "pdf"}}, "Quit": "quit"}
        self.assertEqual(
            menu_command_paths(menu), {"open": "File > Open", "pdf": "File > Export > As PDF", "quit": "Quit"}
        )

    def test_order_follows_the_menu(self) -> None:
        menu: dict = {"Z": {"Y": "3", "B": "1"}, "A": "2"}
        self.assertEqual(list(menu_command_paths(menu)), ["3", "1", "2"])

    def test_first_path_is_kept(self) -> None:
        self.assertEqual(menu_command_paths({"Edit": {"Find": "find"}, "Search": "find"}), {"find": "Edit > Find"})
        self.assertEqual(menu_command_paths({"Search": "find", "Edit": {"Find": "find"}}), {"find": "Search"})
        self.assertEqual(menu_command_paths({"Search": "find", "Find": "find"}), {"find": "Search"})

    def test_separator_is_used_at_every_level(self) -> None:
        self.assertEqual(menu_command_paths({"A": {"B": {"C": "x"}}}, "/"), {"x": "A/B/C"})

    def test_empty_submenus_add_nothing(self) -> None:
        self.assertEqual(menu_command_paths({"A": {}, "B": {"C": {}}}), {})
        self.assertEqual(menu_command_paths({}), {})

    def test_menu_is_not_changed(self) -> None:
        menu: dict = {"A": {"B": "x"}}
        menu_command_paths(menu)
        self.assertEqual(menu, {"A": {"B": "x"}})
