"""Write a class RecipeTagMap mapping each tag to several recipes. add(tag, recipe) returns True, or False if that tag
already has it. get(tag) returns a new list of its recipes in order of adding, [] for an unknown tag. remove(tag,
recipe) raises KeyError if the tag does not have it; a tag losing its last recipe disappears. tags(recipe) lists the
tags having it, sorted. len() is the number of (tag, recipe) pairs; `tag in map` tells whether a tag exists. Asking
never creates tags."""


class RecipeTagMap:
    def __init__(self) -> None:
        self._recipes: dict[str, list[str]] = {}

    def __len__(self) -> int:
        return sum(len(recipes) for recipes in self._recipes.values())

    def __contains__(self, tag: str) -> bool:
        return tag in self._recipes

    def add(self, tag: str, recipe: str) -> bool:
        recipes = self._recipes.setdefault(tag, [])
        if recipe in recipes:
            return False
        recipes.append(recipe)
        return True

    def get(self, tag: str) -> list[str]:
        return list(self._recipes.get(tag, []))

    def remove(self, tag: str, recipe: str) -> None:
        recipes = self._recipes.get(tag, [])
        if recipe not in recipes:
            raise KeyError((tag, recipe))
        recipes.remove(recipe)
        if not recipes:
            del self._recipes[tag]

    def tags(self, recipe: str) -> list[str]:
        return sorted(tag for tag, recipes in self._recipes.items() if recipe in recipes)


# --- tests ---

import unittest


class TestRecipeTagMap(unittest.TestCase):
    def setUp(self) -> None:
        self.map = RecipeTagMap()
        for tag, recipe in (("vegan", "soup"), ("quick", "toast"), ("vegan", "curry"), ("quick", "soup")):
            self.map.add(tag, recipe)

    def test_recipes_come_in_order_of_adding(self) -> None:
        self.assertEqual(self.map.get("vegan"), ["soup", "curry"])
        self.assertEqual(self.map.get("quick"), ["toast", "soup"])

    def test_adding_twice_changes_nothing(self) -> None:
        self.assertIs(self.map.add("vegan", "soup"), False)
        self.assertIs(self.map.add("vegan", "toast"), True)
        self.assertEqual(self.map.get("vegan"), ["soup", "curry", "toast"])

    def test_length_counts_pairs(self) -> None:
        self.assertEqual(len(self.map), 4)
        self.assertEqual(len(RecipeTagMap()), 0)

    def test_asking_does_not_create_a_tag(self) -> None:
        self.assertEqual(self.map.get("spicy"), [])
        self.assertNotIn("spicy", self.map)
        with self.assertRaises(KeyError):
            self.map.remove("spicy", "soup")
        self.assertNotIn("spicy", self.map)

    def test_the_returned_list_is_a_copy(self) -> None:
        self.map.get("vegan").append("steak")
        self.assertEqual(self.map.get("vegan"), ["soup", "curry"])

    def test_remove_keeps_the_others(self) -> None:
        self.map.remove("vegan", "soup")
        self.assertEqual(self.map.get("vegan"), ["curry"])
        self.assertEqual(self.map.get("quick"), ["toast", "soup"])
        self.assertIn("vegan", self.map)

    def test_the_last_recipe_takes_the_tag_along(self) -> None:
        self.map.remove("vegan", "soup")
        self.map.remove("vegan", "curry")
        self.assertNotIn("vegan", self.map)
        self.assertEqual(len(self.map), 2)

    def test_removing_a_missing_recipe_is_an_error(self) -> None:
        with self.assertRaises(KeyError):
            self.map.remove("vegan", "toast")

    def test_tags_of_a_recipe_are_sorted(self) -> None:
        self.assertEqual(self.map.tags("soup"), ["quick", "vegan"])
        self.assertEqual(self.map.tags("curry"), ["vegan"])
        self.assertEqual(self.map.tags("cake"), [])
