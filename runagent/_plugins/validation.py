"""Whether an object is a transport for this runagent; what is wrong with it if it is none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from runagent._errors import ConfigurationError
from runagent.capabilities import TRANSPORT_API_VERSION, Capability, api_version_fault

if TYPE_CHECKING:
    from runagent.transports._async_transport import AsyncTransport
    from runagent.transports._base import Transport

__all__ = ["as_transport", "validate_transport"]

_NAME = r"[A-Za-z][A-Za-z0-9._-]*"
_CO_COROUTINE = 0x80
_LOOPS = frozenset({"asyncio", "trio"})


def validate_transport(transport: object) -> str:
    """Return the name of what keeps the formal promises of a `Transport`.

    Raises:
        ConfigurationError: It does not; the message names what is missing.
    """
    name, api_version = getattr(transport, "name", None), getattr(transport, "api_version", None)
    capabilities = getattr(transport, "capabilities", None)
    fault = None
    if isinstance(transport, type):
        fault = "it is a class; make an object of it"
    elif not isinstance(name, str) or not ((name.isascii() and name.isalpha()) or re.fullmatch(_NAME, name)):
        fault = "its name has to be a word of letters, digits and . _ - that begins with a letter"
    elif not isinstance(api_version, int):
        ours = f"api_version = {TRANSPORT_API_VERSION}"
        fault = f"it names no version of the transport API; if it is written for this one, add {ours}"
    elif api_version_fault(api_version):
        fault = api_version_fault(api_version)
    elif not isinstance(capabilities, frozenset) or not all(isinstance(c, Capability) for c in capabilities):
        known = ", ".join(f"Capability.{capability.name}" for capability in Capability)
        fault = f"its capabilities have to be a frozenset of {known}, not {capabilities!r}"
    else:
        cancels = Capability.CANCEL in capabilities
        is_library = callable(getattr(transport, "run", None))
        fault = (_library_fault if is_library else _transport_fault)(transport, cancels=cancels)
    if fault is not None:
        raise ConfigurationError(f"{transport!r} is not a transport for this runagent: {fault}")
    return str(name)


def _library_fault(transport: object, *, cancels: bool) -> str | None:
    runs_on = getattr(transport, "runs_on", None)
    if not isinstance(runs_on, frozenset) or not runs_on or not runs_on <= _LOOPS:
        return "runs_on has to be a frozenset of asyncio, trio or both"
    if cancels and not _is_coroutine_function(getattr(transport, "cancel", None)):
        return "it has the capability cancel, so it needs a coroutine function cancel"
    return None


def _transport_fault(transport: object, *, cancels: bool) -> str | None:
    if not isinstance(getattr(transport, "tunnels", None), bool):
        return "tunnels has to be True or False"
    for name in ("open", "open_cancel") if cancels else ("open",):
        method = getattr(transport, name, None)
        if not callable(method):
            why = ", but the capability cancel" if name == "open_cancel" else ""
            return f"it has no method {name}{why}"
        if _is_coroutine_function(method):
            return f"its {name} must not wait: write it without async, or write an AsyncTransport"
    return None


def _is_coroutine_function(function: object) -> bool:
    # As inspect finds it, which takes long to import.
    return bool(getattr(getattr(function, "__code__", None), "co_flags", 0) & _CO_COROUTINE)


def as_transport(given: object) -> Transport:
    """Return the transport that core works with: the object itself, or one that runs the library behind it.

    Raises:
        ConfigurationError: As for `validate_transport`.
    """
    validate_transport(given)
    if callable(getattr(given, "run", None)):
        from runagent._bridge.transport import LibraryTransport  # most programs have no library to run

        return LibraryTransport(cast("AsyncTransport", given))
    return cast("Transport", given)
