"""The subject of a check: a transport, the dialects of its peer, and further arguments for clients."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError
from runagent._address.route import Route
from runagent._address.url import parse_base_url
from runagent._bridge.transport import LibraryTransport
from runagent._call import AgentCall
from runagent._limits import read_limits
from runagent._plugins.registry import default_registry
from runagent._plugins.validation import as_transport
from runagent.capabilities import Capability
from runagent.transports._base import Session, Wants
from runagent_testing._internal.credentials import Names
from runagent_testing._internal.redaction import Secrets
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._memory import MemoryNetwork
from runagent_testing.conformance._harness.feeding import Feeding
from runagent_testing.conformance._harness.probe import TIMESTAMP, Traits, half_an_event, traits_of
from runagent_testing.conformance._harness.samples import Sample, built_in_samples
from runagent_testing.conformance._harness.violation import NOT_UNDERSTOOD, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent._call import ResumePoint
    from runagent.transports._async_transport import AnyTransport
    from runagent.transports._base import Transport
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing.dialects import Dialect

__all__ = ["AGENT", "API_KEY", "CAPABILITIES", "Subject"]

__tracebackhide__ = is_ours

AGENT = "kit"
_CALL_ID = "0123456789abcdef" * 2
_RUN_ID = "7d0f2c5e-3a41-4f0c-9a57-1f6e8d2b4c90"
API_KEY = "kit-key-4b1c-not-to-be-shown"
CAPABILITIES = tuple(capability.value for capability in Capability)
_PROMISED = sorted({*Session.__annotations__, *(name for name in vars(Session) if name[0] != "_")})


@dataclass(frozen=True)
class Subject:
    """A transport under test.

    Attributes:
        given: The transport, or its name, as clients get it.
        dialects: Dialects of the fake agent, in addition to the built-in and installed ones.
        options: Arguments for the clients, in addition to those that the kit sets: ``headers``,
            ``transport_options``, ``entrypoint_tag``.
        skip_capabilities: Declared capabilities that the peer cannot show.
        own_samples: The author's samples, in addition to those of the kit.
    """

    given: AnyTransport | str
    dialects: tuple[Dialect, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    skip_capabilities: frozenset[str] = frozenset()
    own_samples: tuple[Sample, ...] = ()

    @cached_property
    def transport(self) -> Transport:
        """The transport as the client uses it."""
        given = self.given
        return default_registry().get(given) if isinstance(given, str) else as_transport(given)

    @property
    def name(self) -> str:
        """The transport's name."""
        return self.transport.name

    @property
    def capabilities(self) -> frozenset[str]:
        """The declared capabilities that the peer can show."""
        return frozenset(map(str, self.transport.capabilities)) - self.skip_capabilities

    @property
    def secrets(self) -> Secrets:
        """The credentials among the options, which no report may show."""
        headers, given = (dict(self.options.get(name, {})) for name in ("headers", "transport_options"))
        named = [name for dialect in self.dialects for name in dialect.credential_fields]
        folded = {str(name).lower(): str(value) for name, value in headers.items()}
        return Secrets(Names(named)).seen_in(folded, bodies=[given])

    @property
    def is_library(self) -> bool:
        """Whether it brings its own connections, so that there is no session to feed."""
        return isinstance(self.transport, LibraryTransport)

    def client(self, style: str, **options: Any) -> RunAgentClient | AsyncRunAgentClient:
        """Make a client that uses the transport."""
        arguments: dict[str, Any] = {
            "agent_id": AGENT,
            "api_key": API_KEY,
            "transport": self.given,
            "proxy": "",
            "max_retries": 0,
            "retry_delay": 0.001,
            "resume": False,
        }
        given: dict[str, Any] = dict(self.options) | options
        for name in ("headers", "transport_options"):
            if name in self.options and name in options:
                given[name] = {**self.options[name], **options[name]}
        return (RunAgentClient if style == "sync" else AsyncRunAgentClient)(**(arguments | given))

    def call(self, base_url: str, **fields: Any) -> AgentCall:
        """Make the call that such a client would make."""
        options = dict(self.options.get("transport_options", {})) | fields.pop("options", {})
        given: dict[str, Any] = {
            "agent_id": AGENT,
            "base": parse_base_url(base_url),
            "input": {"query": "x"},
            "headers": tuple(dict(self.options.get("headers", {})).items()),
            "entrypoint_tag": self.options.get("entrypoint_tag"),
            "api_key": API_KEY,
            "run_id": _CALL_ID,
            "idempotency_key": _CALL_ID,
            "options": options,
            "limits": read_limits(options),
        }
        return AgentCall(**(given | fields))

    def memory(self, api_key: str | None = None) -> MemoryNetwork:
        """Make a network that speaks the dialects, and writes equal answers as equal bytes."""
        return MemoryNetwork(
            dialects=self.dialects, api_key=api_key, run_ids=lambda: _RUN_ID, timestamps=lambda: TIMESTAMP
        )

    def route(self, call: AgentCall) -> Route:
        """Make the direct route."""
        return Route(call.base.origin)

    def open(self, memory: MemoryNetwork, **fields: Any) -> Session:
        """Open a session; ``resume`` and ``route`` are passed to the transport, the rest to the call.

        Raises:
            Violation: The transport returned no session.
        """
        resume: ResumePoint | None = fields.pop("resume", None)
        route: Route | None = fields.pop("route", None)
        call = self.call(memory.url, **fields)
        session = self.transport.open(call, route or self.route(call), resume)
        if lacks := [name for name in _PROMISED if not hasattr(session, name)]:
            raise Violation(
                f"open returned {session!r}, which has no {', '.join(lacks)}: return a new session, and call"
                " super().__init__ if its class overrides __init__"
            )
        if session.error is not None or session.wants is Wants.DONE:
            raise Violation("open returned a session that is over: each attempt needs a new one")
        return session

    @cached_property
    def traits(self) -> Traits:
        """What the dialect can express.

        Raises:
            Violation: The fake agent does not understand the transport's request.
        """
        return traits_of(self._trial(), self.dialects)

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """The kit's samples of what the dialect can write, and the author's."""
        traits = self.traits
        return (*built_in_samples(traits.carries, traits.end_facts), *self.own_samples)

    def half_an_event(self) -> bytes:
        """Write the first half of a chunk."""
        return half_an_event(self._trial(), self.dialects)

    def is_understood(self) -> bool:
        """Whether the fake agent knows a session's first request, whose answer is not read."""
        memory = self.memory()
        memory.agent(AGENT).always("x")
        Feeding(memory, self.open(memory), until=0).run()
        return bool(memory.requests) or not memory.unmatched

    def _trial(self) -> Exchange:
        """Send the transport's request to an agent once."""
        exchange = self._served() if self.is_library else self._fed()
        if exchange is None:
            raise Violation(NOT_UNDERSTOOD)
        return exchange

    def _fed(self) -> Exchange | None:
        memory = self.memory()
        memory.agent(AGENT).always("x")
        return Feeding(memory, self.open(memory)).run().check_written().exchange

    def _served(self) -> Exchange | None:
        from runagent_testing._server.server import FakeAgentServer

        with FakeAgentServer(dialects=self.dialects) as server:
            server.agent(AGENT).always("x")
            with contextlib.suppress(RunAgentError):
                stream: Any = self.client("sync", base_url=server.url, timeout=5).run_generic_stream("x")
                stream.text()
            return server.requests[-1] if server.requests else None
