"""What is required of a session's class; comes first, as nothing else works if it is violated."""

from __future__ import annotations

import dis
from types import FunctionType
from typing import TYPE_CHECKING

from runagent_testing.conformance._checks.common import demand
from runagent_testing.conformance._harness.requirements import required

if TYPE_CHECKING:
    from runagent_testing.conformance._harness.lab import Lab


@required(
    "session.own-names",
    "A session replaces no private name of the built-in class that it extends.",
    'docs/transport-api.md, "The hooks of HttpSession"',
)
def check_own_names(lab: Lab) -> None:
    """A private name of the base class may be used, renamed or given another meaning in any release.

    To mend it: rename your attribute or method; names with a single underscore are free unless the base
    class has them.
    """
    kinds = type(lab.open(lab.subject.memory())).__mro__
    ours = [kind for kind in kinds if f"{kind.__module__}.".startswith("runagent.transports.")]
    private = {name for kind in ours for name in _names(kind) if name.startswith("_") and name[:2] != "__"}
    for kind in kinds:
        taken = set() if kind in ours else private & _names(kind)
        demand(not taken, f"{kind.__qualname__} replaces {', '.join(sorted(taken))}: choose other names")


def _names(kind: type) -> set[str]:
    """Return the names that a class defines and that its methods set."""
    codes = [member.__code__ for member in vars(kind).values() if isinstance(member, FunctionType)]
    steps = [step for code in codes for step in dis.get_instructions(code)]
    return {*vars(kind), *(step.argval for step in steps if step.opname == "STORE_ATTR")}
