"""A localiser: all lines from the first difference on, as if nothing after an error could be trusted."""

from iterpref.registry import LOCALISERS


@LOCALISERS.register("suffix")
def suffix(rejected: list[str], chosen: list[str]) -> tuple[range, range]:
    """Numbers of the lines that differ, of y- and of y+, counted from 0."""
    same = 0
    while same < min(len(rejected), len(chosen)) and rejected[same] == chosen[same]:
        same += 1
    return range(same, len(rejected)), range(same, len(chosen))
