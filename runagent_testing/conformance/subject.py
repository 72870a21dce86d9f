"""What is put to the test: a transport, the dialects of its peer, and what clients are told besides."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runagent import AsyncRunAgentClient, RunAgentClient
from runagent.call import AgentCall, Route
from runagent.limits import read_limits
from runagent.net.address import parse_base_url
from runagent.plugins import TransportRegistry, default_registry
from runagent_testing.dialects import BUILT_IN, Dialect, Format, Run
from runagent_testing.dialects.installed import installed_dialects
from runagent_testing.memory import MemoryNetwork
from runagent_testing.steps import Done

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runagent.transports.base import Transport

__all__ = ["AGENT", "API_KEY", "CAPABILITIES", "Subject", "Traits", "Violation"]

AGENT = "kit"
API_KEY = "kit-key-4b1c-not-to-be-shown"
CAPABILITIES = ("invoke", "resume", "heartbeats", "structured", "reuse")


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
        transport: The transport.
        registry: Where the clients find it.
        dialects: What the fake agent speaks beside its own dialects and those installed.
        options: Arguments for the clients beside those that the kit sets: ``headers``,
            ``transport_options``, ``entrypoint_tag``.
        capabilities: What is declared.
    """

    transport: Transport
    registry: TransportRegistry
    dialects: tuple[Dialect, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    capabilities: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        transport: Transport | str,
        *,
        dialects: Iterable[Dialect] = (),
        options: Mapping[str, Any] | None = None,
        capabilities: Iterable[str] | None = None,
    ) -> Subject:
        """Make one; a name stands for the transport that a client would get for it."""
        if isinstance(transport, str):
            registry = default_registry()
            transport = registry.get(transport)
        else:
            registry = TransportRegistry()
            registry.register(transport)
        declared = getattr(transport, "capabilities", ()) if capabilities is None else capabilities
        return cls(transport, registry, tuple(dialects), options or {}, frozenset(map(str, declared)))

    @property
    def name(self) -> str:
        """The transport's name."""
        return self.transport.name

    def client(self, style: str, **options: Any) -> RunAgentClient | AsyncRunAgentClient:
        """Make a client that speaks over the transport."""
        arguments: dict[str, Any] = {
            "agent_id": AGENT,
            "api_key": API_KEY,
            "transport": self.name,
            "proxy": "",
            "max_retries": 0,
            "retry_delay": 0.001,
            "resume": False,
        }
        given: dict[str, Any] = dict(self.options) | options
        for name in ("headers", "transport_options"):
            if name in self.options and name in options:
                given[name] = {**self.options[name], **options[name]}
        client = (_Client if style == "sync" else _AsyncClient)(**(arguments | given))
        client.kit_registry = self.registry
        return client

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

    def memory(self) -> MemoryNetwork:
        """Make a network that speaks the dialects."""
        return MemoryNetwork(dialects=self.dialects)

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

    def _format(self) -> tuple[Format, Run]:
        from runagent_testing.conformance.feeding import Lab  # which needs this module

        exchange = Lab(self).feed("x").exchange
        if exchange is None:
            raise Violation(
                "the fake agent does not understand the request: pass the dialect that the transport speaks"
                " (dialects=[...]), and see that the dialect's recognise() knows the request"
            )
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

    def route(self, call: AgentCall) -> Route:
        """Make the direct route."""
        return Route(call.base.origin)


class _Client(RunAgentClient):
    kit_registry: TransportRegistry

    def _registry(self) -> TransportRegistry:
        return self.kit_registry


class _AsyncClient(AsyncRunAgentClient):
    kit_registry: TransportRegistry

    def _registry(self) -> TransportRegistry:
        return self.kit_registry
