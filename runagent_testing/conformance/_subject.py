"""What is put to the test: a transport, the dialects of its peer, and what clients are told besides."""

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
from runagent_testing._internal.credentials import Names
from runagent_testing._internal.redaction import Secrets
from runagent_testing._memory import MemoryNetwork
from runagent_testing._script.steps import Chunk, Done
from runagent_testing.dialects import Dialect, Format, Run
from runagent_testing.dialects._builtin import BUILT_IN
from runagent_testing.dialects._installed import installed_dialects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent.transports._async_transport import AnyTransport
    from runagent.transports._base import Transport
    from runagent_testing._journal.exchange import Exchange

__all__ = ["AGENT", "API_KEY", "CAPABILITIES", "NOT_UNDERSTOOD", "Subject", "Traits", "Violation"]

AGENT = "kit"
_RUN_ID = "7d0f2c5e-3a41-4f0c-9a57-1f6e8d2b4c90"
API_KEY = "kit-key-4b1c-not-to-be-shown"
CAPABILITIES = tuple(capability.value for capability in Capability)


NOT_UNDERSTOOD = (
    "the fake agent does not understand the request: pass the dialect that the transport speaks"
    " (dialects=[...]), and see that the dialect's recognise() knows the request"
)


class Violation(AssertionError):
    """A requirement is not met; the text says how."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What the dialect can say; it is asked, so that nobody has to declare it.

    Attributes:
        transport: The dialect's word for the way that the transport asks.
        frames: It is a WebSocket.
        delimited: Where a chunk ends can be seen.
        can_fail: A run can fail in the middle.
        marked: There is an end marker; without one only HTTP's own end tells a whole answer from a part.
        heartbeats: There is a sign of life without an event.
    """

    transport: str
    frames: bool
    delimited: bool
    can_fail: bool
    marked: bool
    heartbeats: bool


@dataclass(frozen=True)
class Subject:
    """A transport under test.

    Attributes:
        given: The transport, or its name, as clients get it.
        dialects: What the fake agent speaks beside its own dialects and those installed.
        options: Arguments for the clients beside those that the kit sets: ``headers``,
            ``transport_options``, ``entrypoint_tag``.
        cannot_show: Declared capabilities that the peer cannot show.
    """

    given: AnyTransport | str
    dialects: tuple[Dialect, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    cannot_show: frozenset[str] = frozenset()

    @cached_property
    def transport(self) -> Transport:
        """The transport that core works with."""
        given = self.given
        return default_registry().get(given) if isinstance(given, str) else as_transport(given)

    @property
    def name(self) -> str:
        """The transport's name."""
        return self.transport.name

    @property
    def capabilities(self) -> frozenset[str]:
        """What the transport declares, and the peer can show."""
        return frozenset(map(str, self.transport.capabilities)) - self.cannot_show

    @property
    def secrets(self) -> Secrets:
        """What no report may show: the credentials among the options."""
        headers, given = (dict(self.options.get(name, {})) for name in ("headers", "transport_options"))
        named = [name for dialect in self.dialects for name in dialect.credential_fields]
        folded = {str(name).lower(): str(value) for name, value in headers.items()}
        return Secrets(Names(named)).seen_in(folded, bodies=[given])

    @property
    def is_library(self) -> bool:
        """Whether it has connections of its own, so that there is no session to feed."""
        return isinstance(self.transport, LibraryTransport)

    def client(self, style: str, **options: Any) -> RunAgentClient | AsyncRunAgentClient:
        """Make a client that speaks over the transport."""
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
            "idempotency_key": "00000000-0000-4000-8000-000000000000",
            "options": options,
            "limits": read_limits(options),
        }
        return AgentCall(**(given | fields))

    def memory(self, api_key: str | None = None) -> MemoryNetwork:
        """Make a network that speaks the dialects; equal answers of it have equal bytes."""
        return MemoryNetwork(dialects=self.dialects, api_key=api_key, run_ids=lambda: _RUN_ID)

    @cached_property
    def traits(self) -> Traits:
        """What the dialect can say.

        Raises:
            Violation: The fake agent does not understand the transport's request.
        """
        form, run = self._format()
        word = form.done(Done(), run, 0)
        return Traits(
            transport=run.transport,
            frames=form.frames,
            delimited=form.delimited,
            can_fail=form.can_fail,
            marked=bool(word),
            heartbeats=bool(form.heartbeat),
        )

    def half_an_event(self) -> bytes:
        """Write the first half of a chunk."""
        form, run = self._format()
        form.start(run)
        written = form.chunk(Chunk("half"), None, None)
        return written[: len(written) // 2]

    def _format(self) -> tuple[Format, Run]:
        exchange = self._trial()
        if exchange is None:
            raise Violation(NOT_UNDERSTOOD)
        spoken = next(
            dialect
            for dialect in (*self.dialects, *BUILT_IN, *installed_dialects())
            if dialect.name == exchange.surface
        )
        run = Run(
            exchange.transport,
            "run",
            "2026-01-01T00:00:00+00:00",
            exchange.input if isinstance(exchange.input, dict) else {},
            exchange.raw_headers,
            dialect=spoken,
        )
        return spoken.stream(run), run

    def _trial(self) -> Exchange | None:
        """Ask an agent once."""
        if not self.is_library:
            from runagent_testing.conformance._feeding import Lab  # which needs this module

            return Lab(self).feed("x").exchange
        from runagent_testing._server.server import FakeAgentServer

        with FakeAgentServer(dialects=self.dialects) as server:
            server.agent(AGENT).always("x")
            with contextlib.suppress(RunAgentError):
                stream: Any = self.client("sync", base_url=server.url, timeout=5).run_generic_stream("x")
                stream.text()
            return server.requests[-1] if server.requests else None

    def route(self, call: AgentCall) -> Route:
        """Make the direct route."""
        return Route(call.base.origin)
