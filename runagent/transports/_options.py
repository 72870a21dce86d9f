"""The check of a transport's own options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import msgspec

from runagent._errors import ConfigurationError
from runagent._internal.suggestions import nearest
from runagent._internal.tracebacks import is_ours

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_options"]

__tracebackhide__ = is_ours

_EXPECTED: dict[Any, str] = {bool: "true or false", int: "a whole number", str: "text"}


def check_options(options: Mapping[str, Any], prefix: str, known: Mapping[str, Any]) -> None:
    """Check the ``transport_options`` of a transport; call it in ``open``.

    Args:
        options: ``call.options``; those of other transports are among them.
        prefix: What the names of this transport's options begin with.
        known: Their names and types: ``bool``, ``Literal["a", "b"]`` or any other that msgspec converts to.

    Raises:
        ConfigurationError: An option that begins with the prefix is unknown, or has a value of another type.

    Example:
        ``check_options(call.options, "story_", {"story_api": Literal["v1", "v2"], "story_usage": bool})``
    """
    for name, value in options.items():
        if name in known:
            _check(name, value, known[name])
        elif name.startswith(prefix):
            meant = nearest(name, {each: repr(each) for each in known})
            raise ConfigurationError(f"transport_options: unknown {name!r}{meant}")


def _check(name: str, value: Any, kind: Any) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        choices = get_args(kind)
        if choices and all(isinstance(each, str) for each in choices):
            expected = " or ".join(f'"{each}"' for each in choices)
        else:
            expected = _EXPECTED.get(kind, "")
        fault = f"expected {expected}, found {value!r}" if expected else str(exc)
        raise ConfigurationError(f"transport_options: {name}: {fault}") from None
