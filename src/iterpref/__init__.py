"""IterPref: a code language model learns from its own bugs, token by token (focal DPO, arXiv 2503.02783)."""

__version__ = "0.1.0"
