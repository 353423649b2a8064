"""The bugs that the embedded debugger puts into a source, modelled on those that LLMs make.

Every kind is one function from a `Source` to its possible `Edit`s, whose docstring names the mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from iterpref.codeflow.generate.bugs import arithmetic, control, names, state, values
from iterpref.codeflow.generate.bugs.source import Edit, Source, apply_edits

__all__ = ["KINDS", "Edit", "Source", "apply_edits"]

# Where two kinds make one and the same edit, the first in the table gives it its name.
KINDS: dict[str, Callable[[Source], Iterator[Edit]]] = {
    kind.__name__: kind
    for kind in (
        arithmetic.off_by_one,
        arithmetic.slice_boundary,
        arithmetic.wrong_comparison,
        arithmetic.wrong_operator,
        arithmetic.swapped_operands,
        arithmetic.wrong_constant,
        control.missing_guard,
        control.dropped_else,
        control.negated_condition,
        control.missing_condition,
        control.early_return,
        control.wrong_jump,
        control.swallowed_exception,
        control.missing_return,
        names.wrong_variable,
        names.stale_return,
        names.swapped_arguments,
        names.swapped_unpacking,
        names.wrong_key,
        names.wrong_method,
        state.wrong_initial_value,
        state.wrong_default,
        state.mutable_default,
        state.shared_reference,
        state.missing_update,
        state.missing_reset,
        values.missing_conversion,
        values.missing_default,
        values.wrong_sort,
    )
}
