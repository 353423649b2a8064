"""Where a weaker tier gives something else than the table of required verdicts: row -> what it gives, and why.

A row is "program/kind of tests", or "program" for all kinds. `ANY`: nothing is promised, and the program is not even run.
"""
from iterpref.schema import Verdict
ANY = None
LANDLOCK: dict = {}
PLAIN: dict = {}
BWRAP: dict = {}
