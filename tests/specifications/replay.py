"""Plays a case to a run without sockets: the steps become calls, and time is a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from runagent._address.route import Address
from runagent._address.url import Origin, parse_base_url
from runagent._call import AgentCall, FoundByClient
from runagent._config.timeouts import Timeouts
from runagent._events import Chunk, Completed
from runagent._limits import Limits
from runagent._run.policy import RetryPolicy
from runagent._run.run import Run
from runagent._run.spec import Action, KnownUnsupported, RunSpec
from runagent._wire.websocket import accept_value
from tests.specifications.outcomes import ClientFrames, Outcome, http_outcome, websocket_outcome
from tests.specifications.sessions import RAW_BODY, RAW_WEBSOCKET

if TYPE_CHECKING:
    from tests.specifications.loader import Case
    from tests.specifications.sessions import RawTransport

__all__ = ["Cut", "fill_in", "limits_of", "options_of", "replay_http", "replay_websocket", "timeouts_of"]

Cut = Callable[[bytes], list[bytes]]
_RESET = ConnectionResetError(104, "Connection reset by peer")


def options_of(case: Case) -> dict[str, Any]:
    """Return what the tests' transports want to know of a case."""
    return {
        "method": case.get("method", "GET"),
        "subprotocols": case.get("request", {}).get("subprotocols", ()),
    }


def limits_of(case: Case) -> dict[str, int]:
    """Return the limits that a case sets, by our names."""
    limit = case.get("limits", {}).get("max_message_bytes")
    return {} if limit is None else {"max_event_bytes": limit}


def timeouts_of(case: Case) -> Timeouts:
    """Return limits of 1 s, as the cases suppose them, or more if a single pause is longer."""
    pauses = [wait for steps in case["connections"] for step, wait in steps if step == "pause"]
    seconds = 1 if max(pauses, default=0) < 1000 else 5
    return Timeouts(connect=1, first_event=seconds, idle=seconds)


def fill_in(data: bytes, fields: dict[str, str], hostport: str) -> bytes:
    """Put into a peer's words what only the connection knows."""
    key = fields.get("sec-websocket-key", "")
    accept = accept_value(key)
    for name, value in {
        "accept": accept,
        "accept_swapcase": accept.swapcase(),
        "key": key,
        "hostport": hostport,
    }.items():
        data = data.replace(b"{%b}" % name.encode(), value.encode())
    return data


def replay_http(case: Case, cut: Cut) -> Outcome:
    """Play an HTTP case."""
    replay = _Replay(case, RAW_BODY, cut)
    outcome = replay.play()
    outcome.word = http_outcome(outcome.error)
    assert (outcome.error is None) == replay.completed
    return outcome


def replay_websocket(case: Case, cut: Cut) -> Outcome:
    """Play a WebSocket case."""
    outcome = _Replay(case, RAW_WEBSOCKET, cut).play()
    outcome.word = websocket_outcome(outcome.error, outcome.status)
    return outcome


class _Context:
    """Everything goes over one transport to one place, once."""

    def __init__(self, transport: RawTransport, address: Address) -> None:
        self.known_unsupported = KnownUnsupported()
        self.asks_key = False
        self.found: FoundByClient = {}
        self._transport = transport
        self._address = address

    def hint_at(self, error: Any) -> str:
        return ""

    def find(self, name: str) -> RawTransport:
        return self._transport

    def address(self, tunnels: bool, origin: Origin | None = None) -> Address:
        return self._address

    def api_key(self) -> None:
        return None

    def clock(self) -> float:
        return 0.0


class _Replay:
    """One run and its peer."""

    def __init__(self, case: Case, transport: RawTransport, cut: Cut) -> None:
        base = parse_base_url("http://127.0.0.1:8450")
        self._case = case
        self._cut = cut
        self._now = self._waits_since = 0.0
        self._completed = False
        self._outcome = Outcome()
        self._sent = ClientFrames()
        self._fields: dict[str, str] = {}
        self._hostport = base.origin.netloc
        self._run = Run(
            RunSpec(
                call=AgentCall(
                    agent_id="agent", base=base, options=options_of(case), limits=Limits(**limits_of(case))
                ),
                transports=(transport.name,),
                timeouts=timeouts_of(case),
                policy=RetryPolicy(max_retries=0),
                context=_Context(transport, Address(base.origin)),
            )
        )

    @property
    def completed(self) -> bool:
        """Whether the run has reported that it is complete."""
        return self._completed

    def play(self) -> Outcome:
        """Play all connections that the run opens."""
        run, outcome = self._run, self._outcome
        for steps in self._case["connections"]:
            run.begin_attempt(self._now)
            run.connected(self._now, reused=False)
            self._take_request(run.data_to_send())
            for step, argument in steps:
                if run.action is not Action.READ:
                    break
                getattr(self, f"_{step}")(argument)
            if run.action is not Action.CONNECT:
                break
        assert run.action is Action.END
        outcome.error, outcome.status = run.error, run.report.status
        outcome.frames = self._sent.frames
        return outcome

    def _take_request(self, data: bytes) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        self._fields = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
        assert len(body) == int(self._fields.get("content-length", "0"))
        self._outcome.requests.append({"method": method, "target": target, "body": bool(body)})

    def _send(self, data: bytes) -> None:
        for piece in self._cut(fill_in(data, self._fields, self._hostport)):
            if self._run.action is Action.READ and piece:
                self._receive(piece)

    def _receive(self, data: bytes) -> None:
        run = self._run
        answered = run.received(data, self._waits_since, self._now)
        self._waits_since = self._now
        self._take_events()
        self._sent.feed(answered + run.data_to_send())
        assert run.data_to_send() == b""

    def _take_events(self) -> None:
        outcome = self._outcome
        close_after = self._case.get("client", {}).get("close_after")
        for event in self._run.take_events():
            if isinstance(event, Chunk) and len(outcome.contents) != close_after:
                outcome.contents.append(event.content)
                if len(outcome.contents) == close_after:  # what is still on its way is nobody's any more
                    self._run.session.close()
            self._completed = self._completed or isinstance(event, Completed)
        outcome.deliveries.append((self._now, sum(map(len, outcome.contents))))

    def _wait(self, frame: dict[str, Any]) -> None:
        if not frame.get("optional"):
            payload = bytes.fromhex(frame.get("payload_hex", ""))
            found = [sent for sent in self._sent.frames if sent[0] == frame["opcode"]]
            assert [sent for sent in found if "payload_hex" not in frame or sent[1] == payload]

    def _pause(self, milliseconds: int) -> None:
        end = self._now + milliseconds / 1000
        deadline = self._run.deadlines.read(self._waits_since)
        self._now = min(end, deadline)
        if deadline <= end:
            self._run.timed_out(self._now, self._now - self._waits_since)
            self._take_events()

    def _hold(self, seconds: int) -> None:
        self._pause(seconds * 1000)

    def _close(self, _: Any) -> None:
        self._receive(b"")

    def _reset(self, _: Any) -> None:
        self._run.read_failed(_RESET, self._waits_since, self._now)
        self._take_events()
