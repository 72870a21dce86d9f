"""What a client accepts of a handle, which may come from anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from runagent._errors import ConfigurationError, ValidationError
from runagent._handle import INVALID_HANDLE, Handle
from runagent._redact import describe
from runagent._run.recovery import PROVEN_BY
from runagent.capabilities import Capability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runagent._address.url import BaseURL
    from runagent._client.shared import ClientContext

__all__ = ["check_handle"]


def check_handle(handle: Handle, agent_id: str, context: ClientContext) -> BaseURL:
    """Check that a client may attach to the run of a handle; return the base URL of its service.

    Raises:
        ValidationError: The handle is of another agent, service or transport.
        ConfigurationError: The transport cannot attach to a run, or not in the middle of it.
    """
    _demand("agent", handle.agent_id, [agent_id])
    origins = {str(origin): origin for origin in context.origins}
    _demand("service", handle.origin, list(origins))
    _demand("transport", handle.transport, context.settings.transport)
    needed = {Capability.ATTACH}
    if handle.place is not None and handle.place.proof is not None:
        needed.add(PROVEN_BY[handle.place.proof])
    if not needed <= context.find(handle.transport).capabilities:
        raise ConfigurationError(f"{handle.transport!r} cannot attach to a run", code="NO_ATTACH")
    return msgspec.structs.replace(context.settings.base_url, origin=origins[handle.origin])


def _demand(what: str, found: str, known: Sequence[str]) -> None:
    if found not in known:
        raise ValidationError(
            f"the handle is of another {what}: {describe(found)} instead of {' or '.join(map(repr, known))}",
            hint="attach with a client like the one that began the run",
            code=INVALID_HANDLE,
        )
