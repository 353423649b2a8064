"""Write `may(user, action, script)` for a theatre's script archive; action is "read", "comment" or "edit", anything
else raises ValueError. A user with the role "admin" may do everything. Nobody else may do anything with an archived
script except read it, and only if they could read it anyway. The owner may do all three. Others: a "director" may
read and comment on every script; a member of the script's cast may read it, and also comment while it is in
rehearsal; everybody may read a public script. Return True or False."""

from dataclasses import dataclass, field


@dataclass
class User:
    name: str
    role: str = "guest"


@dataclass
class Script:
    owner: str
    cast: set[str] = field(default_factory=set)
    public: bool = False
    in_rehearsal: bool = False
    archived: bool = False


def may(user: User, action: str, script: Script) -> bool:
    if action not in ("read", "comment", "edit"):
        raise ValueError(f"unknown action: {action}")
    if user.role == "admin":
        return True
    if script.archived and action != "read":
        return False
    if user.name == script.owner:
        return True
    allowed: set[str] = set()
    if script.public:
        allowed.add("read")
    if user.role == "director":
        allowed |= {"read", "comment"}
    if user.name in script.cast:
        allowed.add("read")
        if script.in_rehearsal:
            allowed.add("comment")
    return action in allowed


# --- tests ---

import unittest


class TestMay(unittest.TestCase):
    def rights(self, user: User, script: Script) -> list[str]:
        return [action for action in ("read", "comment", "edit") if may(user, action, script)]

    def test_strangers_may_do_nothing(self) -> None:
        self.assertEqual(self.rights(User("ida"), Script("max")), [])

    def test_a_public_script_can_be_read(self) -> None:
        self.assertEqual(self.rights(User("ida"), Script("max", public=True)), ["read"])

    def test_the_owner_may_do_all(self) -> None:
        self.assertEqual(self.rights(User("max"), Script("max")), ["read", "comment", "edit"])

    def test_an_archived_script_can_only_be_read_by_those_who_could(self) -> None:
        self.assertEqual(self.rights(User("max"), Script("max", archived=True)), ["read"])
        self.assertEqual(self.rights(User("eva", "director"), Script("max", archived=True)), ["read"])
        self.assertEqual(self.rights(User("ida"), Script("max", {"ida"}, archived=True, in_rehearsal=True)), ["read"])
        self.assertEqual(self.rights(User("ida"), Script("max", archived=True)), [])

    def test_admins_may_do_everything(self) -> None:
        self.assertEqual(self.rights(User("root", "admin"), Script("max", archived=True)), ["read", "comment", "edit"])

    def test_directors_comment_everywhere(self) -> None:
        self.assertEqual(self.rights(User("eva", "director"), Script("max")), ["read", "comment"])

    def test_the_cast_comments_during_rehearsal(self) -> None:
        script = Script("max", {"ida", "tom"})
        self.assertEqual(self.rights(User("tom"), script), ["read"])
        script.in_rehearsal = True
        self.assertEqual(self.rights(User("tom"), script), ["read", "comment"])
        self.assertEqual(self.rights(User("zoe"), script), [])

    def test_rehearsal_gives_others_nothing_on_a_public_script(self) -> None:
        self.assertEqual(self.rights(User("zoe"), Script("max", {"tom"}, True, True)), ["read"])

    def test_unknown_actions_raise_for_everybody(self) -> None:
        for user in (User("root", "admin"), User("max"), User("ida")):
            with self.assertRaises(ValueError):
                may(user, "delete", Script("max"))

    def test_scripts_do_not_share_their_cast(self) -> None:
        Script("max").cast.add("ida")
        self.assertEqual(Script("max").cast, set())
