"""Failed tests show the line of the test, and no frames of this package."""

from __future__ import annotations

from typing import Any

__all__ = ["is_ours"]


def is_ours(excinfo: Any) -> bool:
    """Whether pytest leaves our frames out of a failed test: those of an error that we raise on purpose.

    A module that has this as its ``__tracebackhide__`` is left out if the error has a class of this package
    or of the client, if a ``raise`` statement in either made it, or if it is the system's, which cannot open
    a file or a port. The frames of a bug are shown, and so are those around an exception that a function of
    the test has raised.
    """
    from opcode import opmap  # only a failed test asks

    trace = excinfo.tb
    while trace.tb_next is not None:
        trace = trace.tb_next
    if isinstance(excinfo.value, OSError) or _is_here(type(excinfo.value).__module__):
        return True
    is_raise = trace.tb_frame.f_code.co_code[trace.tb_lasti] == opmap["RAISE_VARARGS"]
    return is_raise and _is_here(trace.tb_frame.f_globals.get("__name__", ""))


def _is_here(module: str) -> bool:
    return module.partition(".")[0] in ("runagent", "runagent_testing")


__tracebackhide__ = is_ours
