"""The base of sessions that ask the service to stop a run: one request, whose good answer is all there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from runagent._errors import StreamError
from runagent._events import Completed
from runagent._public import publish
from runagent.transports._http import HttpSession

if TYPE_CHECKING:
    from collections.abc import Collection

    from runagent._errors import RunAgentError
    from runagent._events import Event

__all__ = ["CancelSession"]


class CancelSession(HttpSession):
    """Ask the service to stop the run whose ids are in ``call.attach_to``.

    A subclass defines ``make_request``. An answer of status 2xx, with or without a body, confirms. One of
    ``over_statuses`` means that the run is over, which is no failure. Steps before the request work as for a
    run. A service that answers 200 to what it did not do needs ``read_body`` or ``end_body``.

    Example:
        >>> class Cancel(CancelSession):
        ...     def make_request(self):
        ...         run = self.call.attach_to.quoted("run")
        ...         return HttpRequest("POST", f"/runs/{run}/cancel", self.call.request_headers(accept="*/*"))
    """

    expects = "any answer"
    takes_no_body = True
    over_statuses: ClassVar[Collection[int]] = frozenset({404, 409, 410})

    def open_body(self, content_type: str, charset: str) -> bool:
        """Take any type."""
        return True

    def read_body(self, data: bytes) -> list[Event]:
        """Leave the body out."""
        return []

    def end_body(self, proven: bool) -> list[Event]:
        """Return the event that confirms."""
        return [Completed(proven=proven)]

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        """Make the error of a refusal: code ``GONE`` if the run is over."""
        if status in self.over_statuses:
            return StreamError("the run is over", code="GONE")
        return super().make_refusal(status, body)


publish(CancelSession, module="runagent.transports")
