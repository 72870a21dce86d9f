"""Sessions of several requests, as a third party would write them, and runs with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import RunAgentError
from runagent.transports import HttpRequest, Step
from tests.support.peer import http
from tests.support.transports import LettersSession, OwnTransport

if TYPE_CHECKING:
    from collections.abc import Generator

    from runagent.transports import StepAnswer
    from tests.support.styles import Style

__all__ = ["LETTERS", "THREAD", "Thread", "made", "run"]

THREAD = http(200, {"thread_id": "t1"})
LETTERS = http(200, "ab", content_type="text/plain")


class Thread(LettersSession):
    """Makes a thread first, and runs on it."""

    left = False

    def step(self, target: str, **fields: Any) -> Step:
        return Step(HttpRequest("POST", target, self.call.request_headers(accept="*/*")), **fields)

    def before(self) -> Generator[Step, StepAnswer, None]:
        self.thread = self.call.found.get("thread")
        try:
            if self.thread is None:
                answer = yield self.step("/threads")
                self.thread = answer.json()["thread_id"]
                self.call.found.keep("thread", self.thread)
        finally:
            type(self).left = True

    def make_request(self) -> HttpRequest:
        return HttpRequest("POST", f"/threads/{self.thread}/runs", self.call.request_headers(accept="*/*"))


def made(session: Any) -> OwnTransport:
    """A transport of these sessions, named ``steps``."""
    return OwnTransport("steps", session)


def run(style: Style, url: str, session: Any, *, times: int = 1, **options: Any) -> list[Any]:
    """Run several times with one client; return text and report of each run, or its error."""

    async def scenario() -> list[Any]:
        client = style.client("a", base_url=url, transport=made(session), api_key="secret", **options)
        outcomes = []
        for _ in range(times):
            stream = client.run_generic_stream("x")
            try:
                outcomes.append(await stream.result())
            except RunAgentError as exc:
                outcomes.append(exc)
        await client.aclose()
        return outcomes

    outcomes: list[Any] = style.run(scenario)
    return outcomes
