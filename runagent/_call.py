"""What is asked of an agent, and by which way: plain data that a transport turns into bytes."""

import os
from collections.abc import Mapping  # what resolves the fields' types needs it
from typing import Any, Literal, NoReturn, Self

import msgspec

from runagent._address.paths import agent_path, path_segment
from runagent._address.url import BaseURL
from runagent._errors import ValidationError
from runagent._internal.tracebacks import is_ours
from runagent._limits import Limits
from runagent._public import publish
from runagent._redact import credential_parts, is_credential, query_credentials
from runagent._version import __version__

__all__ = [
    "NOT_RESUMED",
    "AgentCall",
    "Found",
    "FoundByClient",
    "ReceivedPart",
    "ResumePoint",
    "RunIds",
    "merge_headers",
    "new_run_id",
    "take_idempotency_key",
]

__tracebackhide__ = is_ours

_HIDDEN = frozenset({"api_key", "found", "headers", "options"})  # may hold secrets
_MAX_FOUND = 64
NOT_RESUMED = "NOT_RESUMED"  # the code of the error for a stream that goes on in another place than asked


def new_run_id() -> str:
    """Make the id of a run: 32 random hexadecimal digits."""
    return os.urandom(16).hex()


def merge_headers(
    earlier: tuple[tuple[str, str], ...], later: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Put header fields in place of earlier ones of the same name."""
    if not later:
        return earlier
    replaced = {name.lower() for name, _ in later}
    return (*(field for field in earlier if field[0].lower() not in replaced), *later)


def take_idempotency_key(
    headers: tuple[tuple[str, str], ...],
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the caller's ``Idempotency-Key``, "" if there is none, and the other header fields.

    It belongs to the call: resumptions, steps and cancelling derive their keys from it.
    """
    for field in headers:
        if field[0].lower() == "idempotency-key":
            return field[1], tuple(other for other in headers if other is not field)
    return "", headers


class ReceivedPart(msgspec.Struct, frozen=True, gc=False):
    """How much of one part of an answer has come, without the content.

    Attributes:
        name: The part's name, or a digest of a long one.
        size: The bytes that have come.
        digest: Their digest, in hexadecimal digits.
    """

    name: str
    size: int
    digest: str


class ResumePoint(msgspec.Struct, frozen=True, gc=False):
    """Where a broken stream is to go on. `ChunkCount`, `IdOrder` and `SnapshotParts` make it.

    Attributes:
        next_index: The index of the first chunk that is still missing; None if the agent does not count.
        last_event_id: What goes into ``Last-Event-ID``; "" if the stream had no ids.
        proof: How the session proves that the resumed stream goes on here: by the ``index`` of its first
            chunk, by the ``id`` of its first event, or by a ``snapshot`` of everything so far. None: it
            cannot, so that the stream is resumed only if the caller trusts the agent (``resume="trust"``).
        parts: What has come of each part of the answer, if a snapshot proves the place.
    """

    next_index: int | None = None
    last_event_id: str = ""
    proof: Literal["index", "id", "snapshot"] | None = None
    parts: tuple[ReceivedPart, ...] = ()


class RunIds(dict[str, str]):
    """The protocol's ids of a run, by name; they may come from a handle, and so from anybody.

    A missing one is a ValidationError. Text that goes into a URL has to be quoted: use ``quoted``.

    Example:
        >>> RunIds({"thread": "a/b"}).quoted("thread")
        'a%2Fb'
    """

    __slots__ = ()

    def __missing__(self, name: str) -> NoReturn:
        raise ValidationError(f"the handle has no id {name!r}", code="INVALID_HANDLE")

    def quoted(self, name: str) -> str:
        """Return an id for one segment of a path, percent-encoded.

        Raises:
            ValidationError: There is no such id, or `path_segment` rejects it.
        """
        try:
            return path_segment(self[name])
        except ValueError as exc:
            message = f"the id {name!r} cannot be part of a path"
            raise ValidationError(message, code="INVALID_HANDLE") from exc


FoundByClient = dict[tuple[str, str], tuple[float, bytes]]  # by transport and name: until when, and the value


class Found(msgspec.Struct, frozen=True):
    """What a transport's steps have found, by name: for the attempts of a run, or for a client's other runs.

    Values are JSON and copied both ways. No transport sees what another one has found.
    """

    transport: str = ""
    now: float = 0.0
    by_run: dict[tuple[str, str], bytes] = msgspec.field(default_factory=dict)
    by_client: FoundByClient = msgspec.field(default_factory=dict)

    __repr__ = object.__repr__

    def get(self, name: str) -> Any:
        """Return the value of a name; None if there is none, or its time has passed."""
        key = self.transport, name
        value = self.by_run.get(key)
        if value is None:
            until, value = self.by_client.get(key, (0.0, None))
            if value is None or until <= self.now:
                return None
        return msgspec.json.decode(value)

    def keep(self, name: str, value: Any, *, seconds: float | None = None) -> None:
        """Keep a value for the later attempts of this run.

        Args:
            name: Its name.
            value: Any JSON value but null.
            seconds: For how long the client's other runs get it, too; None: they do not. A client keeps at
                most 64 values so, the latest ones.

        Raises:
            ValidationError: JSON cannot carry the value.
        """
        from runagent._internal.jsoninput import copy_input  # most runs keep nothing

        key, kept = (self.transport, name), msgspec.json.encode(copy_input(value, name))
        self.by_run[key] = kept
        if seconds is not None:
            self.by_client.pop(key, None)
            self.by_client[key] = self.now + seconds, kept
            while len(self.by_client) > _MAX_FOUND:
                self.by_client.pop(next(iter(self.by_client)), None)

    def forget(self, name: str) -> None:
        """Drop the value of a name, which has turned out to be wrong, for this run and for all others."""
        key = self.transport, name
        self.by_run.pop(key, None)
        self.by_client.pop(key, None)


class AgentCall(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to run an agent.

    Attributes:
        agent_id: The agent's id, not yet encoded.
        base: Where the service is.
        mode: ``stream``, or ``invoke`` for a plain run with one answer.
        input: The input object; the keyword arguments of the WebSocket protocol.
        args: Positional arguments, which only the WebSocket protocol knows.
        entrypoint_tag: The agent's entry point, which only the WebSocket protocol knows.
        headers: Header fields of the caller; they replace ours of the same name; hidden from ``repr``.
        api_key: Goes into ``Authorization: Bearer``, or into another field that the transport names; hidden
            from ``repr``.
        options: ``transport_options``, limits included; hidden from ``repr``.
        limits: The bounds of what the peer may make us hold.
        run_id: Our id of the run, the same in all of its attempts, its report, its errors and its log lines.
        idempotency_key: The caller's ``Idempotency-Key``, else the run's id, in the first request and its
            retries; a resumption has another one.
        timeout_seconds: How long the agent may take, if the protocol can carry it.
        found: What steps of the run, or of another run of the client, have found; hidden from ``repr``.
        opened_at: Seconds since the epoch, against which a ``Retry-After`` date is read.
        attach_to: The ids of a run that has begun: the transport reads on in it, or cancels it, and starts
            none. None if the call starts a run.
    """

    agent_id: str
    base: BaseURL
    mode: Literal["stream", "invoke"] = "stream"
    input: Mapping[str, Any] = msgspec.field(default_factory=dict)
    args: tuple[Any, ...] = ()
    entrypoint_tag: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    api_key: str | None = None
    options: Mapping[str, Any] = msgspec.field(default_factory=dict)
    limits: Limits = msgspec.field(default_factory=Limits)
    run_id: str = msgspec.field(default_factory=new_run_id)
    idempotency_key: str = ""
    timeout_seconds: float | None = None
    found: Found = msgspec.field(default_factory=Found)
    opened_at: float = 0.0
    attach_to: RunIds | None = None

    def __repr__(self) -> str:
        return f"AgentCall({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in _HIDDEN]

    def replace(self, **changes: Any) -> Self:
        """Return a copy that differs in the given attributes."""
        return msgspec.structs.replace(self, **changes)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The key, and what else authorizes the caller: they are taken out of what a peer sends."""
        given = [pair for pair in (*self.headers, *self.options.items()) if isinstance(pair[1], str)]
        parts = (part for name, value in given if is_credential(name) for part in credential_parts(value))
        queries = (part for _, value in given if value[:1] == "/" for part in query_credentials(value))
        return self.api_key or "", *parts, *queries

    def path(self, template: str, option: str, *, exact: bool = False) -> str:
        """Return the path to ask for: ``template`` behind the base's prefix, or the option's value.

        Args:
            template: The protocol's own path; it may hold ``{agent_id}``.
            option: The name of the transport option that replaces the whole path.
            exact: Put it behind the whole path of ``base_url``, also if that ends in ``/v1``; for protocols
                whose agents have a URL each, which give an empty ``template``.

        Raises:
            ConfigurationError: The option is not a path that begins with ``/``.
        """
        own = self.options.get(option)
        if own is None:
            own = self._behind_base(template) if exact else self.base.prefix + template
        return agent_path(own, self.agent_id)

    def _behind_base(self, template: str) -> str:
        whole = self.base.prefix + self.base.ending
        return whole.rstrip("/") + template if template else whole or "/"

    def request_headers(
        self, *, accept: str, key_field: str = "Authorization", key_prefix: str = "Bearer "
    ) -> list[tuple[str, str]]:
        """Return the header fields of an HTTP request, without those of framing and route.

        A field that the caller gives replaces the one of the same name, the key's included. A token stream
        gains nothing by compression and loses promptness: ``identity`` is asked for.

        Args:
            accept: The content types that the session reads.
            key_field: The name of the field that carries the API key, if there is a key.
            key_prefix: What goes before the key in it.

        Example:
            ``self.call.request_headers(accept="text/event-stream", key_field="X-Api-Key", key_prefix="")``
        """
        fields = {
            "Accept": accept,
            "Accept-Encoding": "identity",
            "User-Agent": f"runagent/{__version__}",
            key_field: f"{key_prefix}{self.api_key}" if self.api_key else "",
            "Idempotency-Key": self.idempotency_key,
        }
        ours = [field for field in fields.items() if field[1]]
        if not self.headers:
            return ours
        own = {name.lower() for name, _ in self.headers}
        return [*(field for field in ours if field[0].lower() not in own), *self.headers]


publish(AgentCall)


publish(ResumePoint, RunIds, module="runagent.transports")
