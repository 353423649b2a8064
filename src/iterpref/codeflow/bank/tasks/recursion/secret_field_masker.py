"""Write `mask_secrets(record, secret_names)` for log records made of dicts, lists and plain values. Return a
copy in which the value of every dict key contained in `secret_names`, compared in lower case (`secret_names`
itself is in lower case), is replaced by "***", whatever the value was, except None, which stays None. This
holds at any depth, also in dicts inside lists. Keys are texts and keep their spelling. The record is not
changed, and the copy shares no dict or list with it."""

from typing import Any


def mask_secrets(record: Any, secret_names: set[str]) -> Any:
    if isinstance(record, list):
        return [mask_secrets(item, secret_names) for item in record]
    if not isinstance(record, dict):
        return record
    masked = {}
    for key, value in record.items():
        if key.lower() in secret_names and value is not None:
            masked[key] = "***"
        else:
            masked[key] = mask_secrets(value, secret_names)
    return masked


# --- tests ---

import unittest

SECRETS = {"password", "token"}


class TestSecretFieldMasker(unittest.TestCase):
    def test_flat_record(self) -> None:
        self.assertEqual(mask_secrets({"user": "al", "password": "x"}, SECRETS), {"user": "al", "password": "***"})

    def test_case_is_ignored_and_spelling_kept(self) -> None:
        self.assertEqual(mask_secrets({"PassWord": 1, "TOKEN": 2}, SECRETS), {"PassWord": "***", "TOKEN": "***"})

    def test_whole_name_only(self) -> None:
        self.assertEqual(mask_secrets({"tokens": 3, "my_token": 4}, SECRETS), {"tokens": 3, "my_token": 4})

    def test_nested_dicts_and_lists(self) -> None:
        record = {"users": [{"name": "al", "token": "t"}, ["token", {"token": 5}]], "a": {"b": {"password": "p"}}}
        expected = {
            "users": [{"name": "al", "token": "***"}, ["token", {"token": "***"}]],
            "a": {"b": {"password": "***"}},
        }
        self.assertEqual(mask_secrets(record, SECRETS), expected)

    def test_any_value_is_hidden_but_none_stays(self) -> None:
        record = {"token": {"part": [1]}, "password": "", "Token": None}
        self.assertEqual(mask_secrets(record, SECRETS), {"token": "***", "password": "***", "Token": None})

    def test_secret_as_a_value_is_not_hidden(self) -> None:
        self.assertEqual(mask_secrets({"field": "password"}, SECRETS), {"field": "password"})

    def test_plain_values_and_empty_ones(self) -> None:
        for value in (7, "token", None, [], {}):
            self.assertEqual(mask_secrets(value, SECRETS), value)

    def test_copy_shares_nothing(self) -> None:
        record: dict = {"a": {"b": [1]}, "password": "p"}
        masked = mask_secrets(record, SECRETS)
        masked["a"]["b"].append(2)
        masked["a"]["c"] = 3
        self.assertEqual(record, {"a": {"b": [1]}, "password": "p"})
