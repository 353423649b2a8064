"""The error that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend. The message says what was expected, what came, where, and the remedy."""
