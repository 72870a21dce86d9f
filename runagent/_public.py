"""Public classes, known by the module from which users import them."""

from __future__ import annotations

import sys

__all__ = ["publish"]


def publish(*kinds: type, module: str = "runagent") -> None:
    """Have classes show the public module: in tracebacks, in pickles, in ``help``.

    What reads the types of a struct's fields looks their names up in the module of the class, so they are
    looked up here, before that is another one.
    """
    for kind in kinds:
        if hasattr(kind, "__struct_fields__"):
            names = vars(sys.modules[kind.__module__])
            kind.__annotations__ = {
                field: eval(text, names) if isinstance(text, str) else text  # our own source
                for field, text in kind.__annotations__.items()
            }
        kind.__module__ = module
