"""The records of requests, as they begin. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._journal.exchange import Exchange
from runagent_testing.dialects._request import parse_json

if TYPE_CHECKING:
    from runagent_testing.dialects import Dialect, Request, RunRequest

__all__ = ["new_exchange"]


def new_exchange(
    request: Request, dialect: Dialect, run_request: RunRequest | None, *, other: str = ""
) -> Exchange:
    """Begin the record of a request.

    Args:
        request: The request.
        dialect: Its dialect.
        run_request: The run that it asks for, if it does.
        other: In place of a transport if it does not.
    """
    return Exchange(
        request.method,
        other if run_request is None else run_request.transport,
        "" if run_request is None else run_request.agent_id,
        request.path,
        request.headers,
        request.connection,
        request.reused,
        parse_json(request.body) if run_request is None else run_request.body,
        request.now,
        input=None if run_request is None else run_request.input,
        dialect=dialect.name,
    )
