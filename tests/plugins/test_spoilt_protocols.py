"""Six mistakes that any transport could make, in each of four protocols: the kit catches each."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from runagent.transports import Completed, Custom, Limits, Reasoning, ToolCall
from runagent_testing.conformance import check_transport
from tests.plugins.protocols.cards import CardTransport
from tests.plugins.protocols.cards_dialect import CardDialect
from tests.plugins.protocols.journals import JournalDialect, JournalSession, JournalTransport
from tests.plugins.protocols.stoppable import LibraryTransport, StoppableDialect, StoppableTransport
from tests.plugins.protocols.threads import ThreadsTransport
from tests.plugins.protocols.threads_dialect import ThreadsDialect

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent.transports import Address, AgentCall, Emit, Event, ResumePoint, Route

    Events = Callable[[list[Event]], list[Event]]


def same(given: Any) -> Any:
    return given


class Spoilt:
    """A transport with a mistake in what it is given, or in what it hands on.

    Args:
        sound: The transport.
        call: Spoils the call.
        events: Spoils the events.
    """

    def __init__(
        self, sound: Any, call: Callable[[AgentCall], AgentCall] = same, events: Events = same
    ) -> None:
        self.sound = sound
        self.name, self.api_version = sound.name, sound.api_version
        self.capabilities, self.tunnels = sound.capabilities, sound.tunnels
        self.spoil_call = call
        self.spoil = events
        if hasattr(sound, "open_cancel"):
            self.open_cancel = sound.open_cancel

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Any:
        session = self.sound.open(self.spoil_call(call), route, resume)
        receive_data, receive_eof = session.receive_data, session.receive_eof
        session.receive_data = lambda data: self.spoil(receive_data(data))
        session.receive_eof = lambda: self.spoil(receive_eof())
        return session


class SpoiltLibrary(Spoilt):
    """The same for a library; it may also spoil the address."""

    runs_on = frozenset({"asyncio"})
    open: Any = None

    def __init__(self, sound: Any, address: Callable[[Address], Address] = same, **spoils: Any) -> None:
        sound.tunnels = False
        super().__init__(sound, **spoils)
        self.spoil_address = address

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        async def hand_on(*events: Any) -> None:
            await emit(*self.spoil(list(events)))

        await self.sound.run(self.spoil_call(call), self.spoil_address(address), resume, hand_on)

    async def cancel(self, call: AgentCall, address: Address) -> bool:
        answer: bool = await self.sound.cancel(call, address)
        return answer


def cut_arguments(events: list[Event]) -> list[Event]:
    """Cut what an agent hands to a tool, or in an event of a protocol without tools."""
    return [
        msgspec.structs.replace(event, arguments=event.arguments[:5])
        if isinstance(event, ToolCall)
        else Custom(event.name, None)
        if isinstance(event, Custom)
        else event
        for event in events
    ]


def lose_usage(events: list[Event]) -> list[Event]:
    return [
        msgspec.structs.replace(event, usage=None) if isinstance(event, Completed) else event
        for event in events
    ]


def drop_reasoning(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Reasoning)]


def ignore_limits(call: AgentCall) -> AgentCall:
    return call.replace(limits=Limits(max_event_bytes=1 << 60))


def ignore_prefix(call: AgentCall) -> AgentCall:
    return call.replace(base=msgspec.structs.replace(call.base, prefix=""))


def ignore_trust(address: Address) -> Address:
    if address.ssl_context is None:
        return address
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    return msgspec.structs.replace(address, ssl_context=trusting)


MISTAKES: dict[str, dict[str, Any]] = {
    "arguments cut": {"events": cut_arguments},
    "usage lost": {"events": lose_usage},
    "reasoning dropped": {"events": drop_reasoning},
    "unbounded gathering": {"call": ignore_limits},
    "prefix ignored": {"call": ignore_prefix},
    "TLS context ignored": {"address": ignore_trust},
}
OF_SESSIONS = {
    "arguments cut": "session.other-events",
    "usage lost": "session.usage",
    "reasoning dropped": "session.other-events",
    "unbounded gathering": "session.samples-limit",
    "prefix ignored": "session.prefix",
}
OF_LIBRARIES = {
    "arguments cut": "run.other-events",
    "usage lost": "run.usage",
    "reasoning dropped": "run.other-events",
    "prefix ignored": "run.prefix",
    "TLS context ignored": "run.tls",
}
PROTOCOLS: dict[str, tuple[Any, Any, dict[str, str]]] = {
    # Agent cards have no reasoning.
    "cards": (CardTransport, CardDialect, {k: v for k, v in OF_SESSIONS.items() if k[0] != "r"}),
    "threads": (ThreadsTransport, ThreadsDialect, OF_SESSIONS),
    "journals": (JournalTransport, JournalDialect, OF_SESSIONS),
    "stoppable": (StoppableTransport, StoppableDialect, OF_SESSIONS),
    "stoppable library": (LibraryTransport, StoppableDialect, OF_LIBRARIES),
}


@pytest.mark.parametrize(
    ("protocol", "mistake"), [(name, mistake) for name in PROTOCOLS for mistake in PROTOCOLS[name][2]]
)
def test_a_mistake_is_caught_by_the_requirement_meant_for_it(protocol: str, mistake: str) -> None:
    transport, dialect, requirements = PROTOCOLS[protocol]
    is_library = requirements is OF_LIBRARIES
    requirement = requirements[mistake]
    statuses = []
    for spoils in ({}, MISTAKES[mistake]):
        report = check_transport(
            (SpoiltLibrary if is_library else Spoilt)(transport(), **spoils),
            dialects=[dialect()],
            only=[requirement],
            styles=["sync"],
            players=["socket" if is_library else "memory"],
        )
        statuses.append({result.status for result in report.results})
    assert [{"passed"}, {"failed"}] == statuses


class BeginsUnnoticed(JournalSession):
    """Leaves out that its step begins the run."""

    def before(self) -> Any:
        steps = super().before()
        step = next(steps, None)
        while step is not None:
            answer = yield msgspec.structs.replace(step, begins_run=False)
            try:
                step = steps.send(answer)
            except StopIteration:
                return


@pytest.mark.parametrize(("session", "status"), [(JournalSession, "passed"), (BeginsUnnoticed, "failed")])
def test_a_step_that_begins_the_run_is_not_repeated_unasked(session: Any, status: str) -> None:
    transport = JournalTransport()
    transport.session = session
    report = check_transport(
        transport,
        dialects=[JournalDialect()],
        only=["run.begun-unasked"],
        styles=["sync"],
        players=["memory"],
    )
    assert [status] == [result.status for result in report.results]
