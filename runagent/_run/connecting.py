"""The first part of each attempt of a run: a session is opened, and a connection is established for it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from msgspec import structs

from runagent._call import Found, RunIds, merge_headers
from runagent._errors import PluginError
from runagent._internal.tracebacks import is_ours
from runagent._report import Attempt
from runagent._run.attempt import AttemptState
from runagent._run.deadlines import Deadlines
from runagent._run.spec import Action
from runagent._run.state import RunState
from runagent.capabilities import Capability
from runagent.transports._base import Wants
from runagent.transports._request import check_session, name_transport

if TYPE_CHECKING:
    from runagent._address.url import Origin
    from runagent.transports._base import ConnectingSession, Session, Transport

__all__ = ["Connecting"]

__tracebackhide__ = is_ours

_logger = logging.getLogger("runagent.run")


class Connecting(RunState):
    """A run's decisions until a connection is established; `Run` adds those about what comes over it."""

    def begin_attempt(self, now: float) -> None:
        """Open a session, or keep the last one if it only needs another connection; set the address.

        An attempt whose reader was cancelled while it connected goes on.

        Raises:
            RunAgentError: The call cannot be made; the run is over.
        """
        self.action = Action.END
        if self.cancelled:
            raise self.closed_error()
        if self._attempt is not None and (paused_at := self._attempt.paused_at) is not None:
            self._attempt.began_at += now - paused_at
            self._attempt.paused_at = None
            self.action = Action.CONNECT
            return
        if not self._has_begun:
            self._begin(now)
        transport = self.recovery.find_capable(self._context.find, self._call.mode)
        self._pass(now)
        self.report.transport = self.recovery.names[0]
        last = self._attempt
        if last is not None and last.session is not None and last.session.wants is Wants.RECONNECT:
            self.attempt = self._attempt = last.over_another_connection(transport, now)
            self._find_way(last.session)
        else:
            self.address = self._context.address(transport.tunnels, self._origin)
            self._begin_session(transport, now)
        self.action = Action.CONNECT

    def _find_way(self, session: Session) -> None:
        """Find the address to which a session wants its next connection.

        Raises:
            ConfigurationError: The caller does not allow its origin.
        """
        origin = session.origin or self._origin
        self.address = self._context.address(self.attempt.transport.tunnels, origin)
        session.reconnecting(self.address.route)

    @property
    def _origin(self) -> Origin | None:
        """The origin of a run to attach to, which may be another allowed one; None for the base URL's."""
        return None if self._call.attach_to is None else self._call.base.origin

    def _begin(self, now: float) -> None:
        self._started_at = self._read_at = now
        self.report.started_at = self._context.clock()
        self.deadlines = Deadlines(self._timeouts, now, plain=self._call.mode == "invoke")
        self._has_begun = True
        self.recovery.begin(now)
        if self._observers is not None and (watch := self._observers.observe(self._call)) is not None:
            self._prepared = watch.prepare(self._call)
            self._watch, self._watches_reads = watch, watch.watches_reads

    def _begin_session(self, transport: Transport, now: float) -> None:
        self.attempt = self._attempt = attempt = AttemptState(
            transport, Attempt(self.recovery.names[0], now - self._started_at), now
        )
        self.report.attempts.append(attempt.report)
        if self._watch is not None:
            attempt.headers = self._watch.attempt(attempt.report)
        attempt.asks_key = True
        key = self._context.api_key()
        if key is None or isinstance(key, str):
            self.open_session(key)
        else:
            attempt.key_to_come = key
        self.deadlines.begin_attempt()

    def open_session(self, key: str | None) -> None:
        """Open the session of an attempt.

        Args:
            key: The API key of this attempt.

        Raises:
            RunAgentError: The call cannot be made; the run is over.
        """
        attempt, recovery = self.attempt, self.recovery
        attempt.asks_key, transport = False, attempt.transport
        prepared = self._prepared
        if Capability.ATTACH in transport.capabilities:
            self.attaches = True
        if recovery.resume is None or not self.attaches:
            self._ids = prepared.attach_to  # a new run has other ids
        attempt.only_reads = self._ids is not None
        self._call = structs.replace(
            prepared,
            attach_to=None if self._ids is None else RunIds(self._ids),
            headers=merge_headers(prepared.headers, attempt.headers),
            api_key=key,
            idempotency_key=recovery.key,
            found=Found(recovery.names[0], attempt.began_at, recovery.found, self._context.found),
            opened_at=self._context.clock(),
        )
        try:
            session = self._open(transport)
            check_session(session)
        except PluginError as exc:
            name_transport(exc, recovery.names[0])
            raise
        attempt.session = session
        if getattr(transport, "brings_connection", False):
            attempt.connecting = cast("ConnectingSession", session)
        if session.wants is Wants.RECONNECT:
            self._find_way(session)

    def _open(self, transport: Transport) -> Session:
        return transport.open(self._call, self.address.route, self.recovery.resume)

    def connecting_paused(self, now: float) -> None:
        """Note that the reader was cancelled while it waited for the key or the connection."""
        self.attempt.paused_at = now

    def connected(self, now: float, *, reused: bool) -> None:
        """Note that the connection is established."""
        attempt, report = self.attempt, self.attempt.report
        attempt.connected = True
        self.recovery.fresh = False
        report.reused = reused
        report.connect_seconds = None if reused else now - attempt.began_at
        _logger.debug(
            "run %s: %s connection to %s over %s",
            self.report.run_id,
            "kept" if reused else "new",
            self.address,
            report.transport,
        )
        self.report.connect_seconds = report.connect_seconds
        self.deadlines.connected(now - attempt.began_at)
        self._pass(now)
        self._longest_pause = 0.0
        self.action = Action.READ

    def _pass(self, now: float) -> None:
        """Note that no event came until ``now``."""
        self._quiet += now - self._read_at
        self._read_at = now
