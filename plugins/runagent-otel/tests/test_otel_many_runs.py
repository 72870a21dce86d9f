"""Two hundred runs at once, over every transport, in every style, with faults: each has a separate trace."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import trio
from opentelemetry.trace import StatusCode

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError, RunReport
from runagent_testing import MemoryNetwork, done, ending, error, status
from tests.support.telemetry import Telemetry, id_of, recorded, traceparent

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

RUNS = 70  # in each style
TRANSPORTS = ("sse", "chunked", "websocket")
USAGE = {"input_tokens": 7, "output_tokens": 3}
BUSY, GOOD = (status(503),), ("x", "y", done(usage=USAGE))

# The scripts of an agent, one for each attempt; how its run ends, and the error of each attempt.
AGENTS: dict[str, tuple[tuple[Any, ...], str, tuple[str | None, ...]]] = {
    "good": ((GOOD,), "completed", (None,)),
    "late": ((BUSY, GOOD), "completed", ("AgentServerError", None)),
    "busy": ((BUSY, BUSY, BUSY), "failed", ("AgentServerError",) * 3),
    "refuses": (((status(401),),), "failed", ("AuthenticationError",)),
    "fails": ((("x", error("NO_ROOM", "no room")),), "failed", ("StreamError",)),
    "breaks": ((("x", ending("close-delimited-cut")),), "failed", ("StreamTruncatedError",)),
    "hangs": ((("x", ending("stall")),), "closed", (None,)),
}
KINDS = [(agent, transport) for agent in AGENTS for transport in TRANSPORTS]


class Runs:
    """The runs of one style: each asks a separate agent, in a span of its caller.

    Attributes:
        reports: The report of each run, with the span of its caller.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self.memory = MemoryNetwork()
        self.reports: list[tuple[RunReport, ReadableSpan]] = []
        self._tracer = telemetry.tracers.get_tracer("test")
        for number in range(RUNS):
            scripts, _, _ = AGENTS[KINDS[number % len(KINDS)][0]]
            for script in scripts:
                self.memory.agent(self.name(number)).reply(*script)

    def name(self, number: int) -> str:
        return f"{KINDS[number % len(KINDS)][0]}-{number}"

    def options(self, number: int) -> dict[str, Any]:
        options = {"base_url": self.memory.url, "max_retries": 2, "retry_delay": 0, "resume": False}
        return {**options, "transport": KINDS[number % len(KINDS)][1]}

    def in_threads(self) -> None:
        def run(number: int) -> None:
            client = RunAgentClient(self.name(number), network=self.memory.blocking, **self.options(number))
            with self._tracer.start_as_current_span(f"caller {number}") as caller:
                stream = client.run_generic_stream("x")
                with contextlib.suppress(RunAgentError), stream:
                    for _ in stream:
                        if self.name(number).startswith("hangs"):
                            break
            self.reports.append((stream.report, caller))  # type: ignore[arg-type]

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(run, range(RUNS)))

    async def one(self, number: int, network: Any) -> None:
        client = AsyncRunAgentClient(self.name(number), network=network, **self.options(number))
        with self._tracer.start_as_current_span(f"caller {number}") as caller:
            stream = client.run_generic_stream("x")
            with contextlib.suppress(RunAgentError):
                async with stream:
                    async for _ in stream:
                        if self.name(number).startswith("hangs"):
                            break
        self.reports.append((stream.report, caller))  # type: ignore[arg-type]
        await client.aclose()

    def in_asyncio_tasks(self) -> None:
        async def run() -> None:
            await asyncio.gather(*(self.one(number, self.memory.aio) for number in range(RUNS)))

        self.memory.run_asyncio(run())

    def in_trio_tasks(self) -> None:
        async def run() -> None:
            async with trio.open_nursery() as nursery:
                for number in range(RUNS):
                    nursery.start_soon(self.one, number, self.memory.trio)

        self.memory.run_trio(run)


def test_two_hundred_runs_at_once_have_separate_traces() -> None:
    with recorded() as telemetry:
        styles = [Runs(telemetry) for _ in range(3)]
        ways = (styles[0].in_threads, styles[1].in_asyncio_tasks, styles[2].in_trio_tasks)
        threads = [threading.Thread(target=way) for way in ways]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    runs = {span.attributes["runagent.run.id"]: span for span in telemetry.runs if span.attributes}
    assert 3 * RUNS == len(telemetry.runs) == len(runs)
    attempts = sum(len(report.attempts) for style in styles for report, _ in style.reports)
    assert 6 * RUNS + attempts == len(telemetry.spans)  # with those of the callers
    for style in styles:
        assert RUNS == len(style.reports)
        sent = [request.headers["traceparent"].rpartition("-")[0] for request in style.memory.requests]
        assert len(sent) == len(set(sent))
        expected = set()
        for report, caller in style.reports:
            run = runs[report.run_id]
            check_run(run, report, caller)
            spans = telemetry.attempts_of(run)
            check_attempts(spans, run, report)
            expected |= {traceparent(span) for span in spans}
        assert expected == set(sent)


def check_run(run: ReadableSpan, report: RunReport, caller: ReadableSpan) -> None:
    agent = report.agent_id
    _, outcome, errors = AGENTS[agent.partition("-")[0]]
    attributes = run.attributes or {}
    shown = {name: attributes.get(name) for name in ("gen_ai.agent.name", "runagent.outcome", "error.type")}
    failed = outcome == "failed"
    assert {
        "gen_ai.agent.name": agent,
        "runagent.outcome": outcome,
        "error.type": f"runagent.{errors[-1]}" if failed else None,
    } == shown
    assert (StatusCode.ERROR if failed else StatusCode.UNSET) == run.status.status_code
    assert (report.transport, report.chunks) == (
        attributes["runagent.transport"],
        attributes["runagent.chunks"],
    )
    assert (7 if outcome == "completed" else None) == attributes.get("gen_ai.usage.input_tokens")
    assert run.parent is not None
    assert id_of(caller) == run.parent.span_id


def check_attempts(spans: list[ReadableSpan], run: ReadableSpan, report: RunReport) -> None:
    _, _, errors = AGENTS[report.agent_id.partition("-")[0]]
    names = ("error.type", "http.response.status_code", "http.request.resend_count")
    assert [
        (name and f"runagent.{name}", attempt.status, number or None)
        for number, (name, attempt) in enumerate(zip(errors, report.attempts, strict=True))
    ] == [tuple((span.attributes or {}).get(name) for name in names) for span in spans]
    for span in spans:
        assert span.context is not None
        assert run.context is not None
        assert run.context.trace_id == span.context.trace_id
        assert run.start_time <= span.start_time <= span.end_time <= run.end_time  # type: ignore[operator]
