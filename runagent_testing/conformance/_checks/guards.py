"""What is required to protect the client: purity, invalid bytes, limits, proxies and redirects."""

from __future__ import annotations

import json
import re
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from runagent._address.proxy import Proxy
from runagent._address.route import Route
from runagent._errors import AgentError, RunAgentError, StreamLimitError
from runagent_testing._script.steps import error, head, status
from runagent_testing.conformance._checks.common import answer_steps, demand, expect_contents, only_where
from runagent_testing.conformance._harness.feeding import Feeding, byte_by_byte, rechunked, whole
from runagent_testing.conformance._harness.purity import Watched, Watcher
from runagent_testing.conformance._harness.requirements import required
from runagent_testing.conformance._harness.subject import AGENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runagent_testing.conformance._harness.feeding import Seen
    from runagent_testing.conformance._harness.lab import Lab

LIMIT = 4096  # bytes
_MISSHAPEN = 100  # variants of one answer


@required(
    "session.pure",
    "A session does no I/O, does not block, reads no clock and starts no thread.",
    'docs/transport-api.md, "Session contract"',
)
def check_purity(lab: Lab) -> None:
    """Sessions run in the caller's event loop or thread; whatever blocks in them blocks the program.

    To mend it: remove clocks, sleeps, files, sockets, locks and threads; the client moves the bytes and
    keeps the time.
    """
    watcher = Watcher()
    transport = lab.subject.transport
    for steps in (answer_steps(lab.subject), ["a", error("E", "no room")], [status(429, retry_after=3)]):
        lab.feed(*steps)  # does the imports of the first use
        memory = lab.subject.memory()
        memory.agent(AGENT).always(*steps)
        call = lab.subject.call(memory.url)
        session = watcher.call(transport.open, call, lab.subject.route(call), None)
        seen = Feeding(memory, Watched(session, watcher), rechunked(1)).run()
        watcher.call(session.close)
        seen.check_sound()
    demand(not watcher.found, "; ".join(dict.fromkeys(watcher.found)))


def hostile(seed: int) -> Callable[[bytes], bytes]:
    """Corrupt bytes at random: flip, remove, repeat or insert some."""
    random = Random(seed)

    def tamper(data: bytes) -> bytes:
        at = random.randrange(len(data) + 1)
        size = random.randint(1, 6)
        noise = random.choice((random.randbytes(size), b"\r\n", b"\n\n", b'"', b"}", b"\xff", b"\0", b"null"))
        changed = random.choice((data[:at] + noise + data[at + size :], data[:at] + noise + data[at:]))
        return random.choice((changed, data[:at] + data[at + size :], data[:at] + data[max(0, at - 20) :]))

    return tamper


_JSON = json.JSONDecoder()
_BEGINS = re.compile(r'[\[{]|(?<=[\s:,\[])"|(?<=[:\[,] )-?\d')  # of a value; a key is one by chance
_SHAPES = (b"1", b"{}", b"[]", b'"x"', b"null", b"[null]")


def misshapen(seed: int) -> Callable[[bytes], bytes]:
    """Put JSON of another type in place of a value: valid JSON of the same length, which fits any framing."""
    random = Random(seed)

    def tamper(data: bytes) -> bytes:
        text = data.decode("latin-1")  # a character is a byte
        values = [span for found in _BEGINS.finditer(text) if (span := _value_at(text, found.start()))]
        if not values:
            return data
        begin, end = random.choice(values)
        shape = random.choice([shape for shape in _SHAPES if len(shape) <= end - begin])
        return data[:begin] + shape.ljust(end - begin) + data[end:]

    return tamper


def _value_at(text: str, begin: int) -> tuple[int, int] | None:
    try:
        return begin, _JSON.raw_decode(text, begin)[1]
    except (ValueError, RecursionError):
        return None


_BODIES = (
    b"\xff\xfe",
    b"{",
    b"null\n",
    b"[1, 2]\n\n",
    b"\n" * 50,
    b"data: \n\n" * 3,
    b"\x89\x05hello",
    b"\0" * 20,
)


def _hostile_answers(lab: Lab) -> Iterator[tuple[str, Seen]]:
    steps: list[Any] = [*answer_steps(lab.subject), error("E", "no room")]
    runs = [(seed, steps if seed % 3 else steps[:-1]) for seed in range(150)]
    runs += [(seed, [status(503)]) for seed in range(150, 180)]
    for seed, said in runs:
        cut = (whole, rechunked(seed), byte_by_byte)[seed % 3]
        yield f"corrupted answer {seed}", lab.feed(*said, cut=cut, tamper=hostile(seed))
    for seed in range(_MISSHAPEN):
        yield f"a value of another type, seed {seed}", lab.feed(*steps, tamper=misshapen(seed))
    yield "an error without code and message", lab.feed("a", error(None, None))
    for body in _BODIES:
        yield f"{body!r} after the answer", lab.feed("a", tamper=_append(body))
        yield f"{body!r} instead of an answer", lab.feed("a", tamper=_replace(body))
        yield f"an answer of {body!r}", lab.feed(status(200, body=body))


def _append(noise: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data + noise


def _replace(noise: bytes) -> Callable[[bytes], bytes]:
    return lambda _: noise


@required(
    "session.never-raises",
    "receive_data and receive_eof raise nothing, whatever the peer sends.",
    'docs/transport-api.md, "Session contract"',
)
def check_nothing_is_raised(lab: Lab) -> None:
    """An exception out of a read would lose the events before it and look like a fault of the client.

    To mend it: check types before you use a value (`match` does), and turn a surprise into
    `self.fail(ProtocolError(...))`.
    """
    for what, seen in _hostile_answers(lab):
        demand(seen.raised is None, f"{what}: the session raised {seen.raised!r} instead of setting error")


@required(
    "session.our-errors",
    "Invalid bytes from the peer set the session's error, which is a RunAgentError.",
    'docs/transport-api.md, "Session contract"',
)
def check_errors_are_ours(lab: Lab) -> None:
    """Callers catch RunAgentError; any other class passes their handlers.

    To mend it: wrap what a library raises: `self.fail(ProtocolError(...))`. Leave out no event that cannot
    be decoded: it may be a piece of the answer.
    """
    for what, seen in _hostile_answers(lab):
        right = seen.error is None or isinstance(seen.error, RunAgentError)
        demand(right, f"{what}: error is {seen.error!r}, which is not a RunAgentError")
        settled = seen.raised is not None or seen.over or not seen.ended
        demand(
            settled, f"{what}: the connection has closed, but the session has no error and does not want DONE"
        )
    _check_broken_chunk(lab)


def _check_broken_chunk(lab: Lab) -> None:
    """Break the JSON of a chunk: a session that leaves it out loses a piece of the answer unnoticed."""
    mark, broken = "a piece of the answer", []

    def tamper(data: bytes) -> bytes:
        at = data.find(mark.encode())
        for begin in (place for place in range(at) if data.startswith(b"{", place)):
            span = _value_at(data.decode("latin-1"), begin)
            if span is not None and at < span[1]:
                broken.append(begin)
                return data[:begin] + b"}" + data[begin + 1 :]
        return data

    seen = lab.feed("a ", mark, " c", tamper=tamper, script={"indexed": False}).check_sound()
    demand(
        not broken or seen.error is not None,
        f"a chunk whose JSON is broken was left out without an error: {seen.summarize()}",
    )


@required(
    "session.event-limit",
    "An event of at most max_event_bytes, framing included, passes; one whose content alone is larger is a"
    " StreamLimitError, raised before much more than the limit has been read.",
    'docs/transports.md, "Limits"',
)
def check_event_limit(lab: Lab) -> None:
    """One endless event would fill the memory of the client.

    To mend it: give the decoder `max_event_bytes=self.call.limits.max_event_bytes`, and pass its error to
    `self.fail`. Another framing counts what it keeps (`ByteLimit`), or fails with
    `StreamLimitError(..., limit_name="max_event_bytes", limit=...)` once it knows the length.
    """
    only_where(lab.subject.traits.delimited, "the dialect does not delimit chunks, so none is too large")
    limits = {"max_event_bytes": LIMIT}
    (begin, end), *_ = lab.offsets("x")[0]
    room = LIMIT - (end - begin) - 16
    for cut in (whole, rechunked(2)):
        seen = lab.feed("x" * room, "y", options=limits, cut=cut).check_sound()
        expect_contents(lab.subject, seen.contents, ["x" * room, "y"], "an event within the limit")
        seen = lab.feed("a", "x" * (LIMIT + 1), options=limits, cut=cut).check_sound()
        expect_limit(seen, "max_event_bytes", "content one byte larger than the limit")
        expect_contents(lab.subject, seen.contents, ["a"], "before the oversized event")
    seen = lab.feed("x" * 20 * LIMIT, options=limits, cut=rechunked(3)).check_sound()
    expect_limit(seen, "max_event_bytes", "an event twenty times as large as the limit")
    demand(
        seen.received < 4 * LIMIT,
        f"{seen.received} bytes were read before the limit of {LIMIT} took effect",
    )


def expect_limit(seen: Any, name: str, what: str) -> None:
    expected = f"{what}: expected a StreamLimitError with limit_name={name!r}"
    demand(isinstance(seen.error, StreamLimitError), f"{expected}, got {seen.summarize()[:300]}")
    demand(seen.error.limit_name == name, f"{expected}, got limit_name={seen.error.limit_name!r}")


@required(
    "session.head-limit",
    "An answer's head larger than max_head_bytes is a StreamLimitError.",
    'docs/transports.md, "Limits"',
)
def check_head_limit(lab: Lab) -> None:
    """Endless header fields would fill the memory of the client.

    To mend it: leave the head to the base class; pass `self.call.limits` on as it is.
    """
    limits = {"max_head_bytes": LIMIT}
    fields = {"X-Long": "x" * (LIMIT + 1)}
    for cut in (whole, rechunked(4)):
        seen = lab.feed(head(headers=fields), "x", options=limits, cut=cut).check_sound()
        expect_limit(seen, "max_head_bytes", "a head larger than the limit")


@required(
    "session.through-proxy",
    "Unless the transport tunnels, a request through a plain HTTP proxy has the absolute form and the proxy's"
    " credentials.",
    'RFC 9112 section 3.2.2; docs/proxies-and-tls.md, "Proxies"',
)
def check_proxy(lab: Lab) -> None:
    """A plain proxy needs the whole URL in the request line, and its own credentials.

    To mend it: let the base class encode the request with the route that `open` got; set `tunnels = True`
    for a CONNECT.
    """
    only_where(not lab.subject.transport.tunnels, "the transport declares that it tunnels")
    memory = lab.subject.memory()
    call = lab.subject.call(memory.url)
    route = Route(call.base.origin, Proxy("proxy.localhost", 3128, "Basic a2l0"))
    request = lab.open(memory, route=route).data_to_send().decode("latin-1")
    line = request.partition("\r\n")[0]
    target = line.partition(" ")[2].partition(" ")[0]
    demand(target.startswith(f"{memory.url}/"), f"the request's target is {quote(target)}, in {line[:200]!r}")
    demand("\r\nproxy-authorization: basic a2l0\r\n" in request.lower(), "no Proxy-Authorization is sent")


@required(
    "session.refusal-limit",
    "A session reads at most max_error_bytes of a refusal's body.",
    'docs/transports.md, "Limits"',
)
def check_refusal_limit(lab: Lab) -> None:
    """The body of a refusal may be endless, or trickle in.

    To mend it: leave refusals to the base class, which reads at most max_error_bytes.
    """
    body = b"<p>no</p>" * 20_000
    seen = lab.feed(status(500, body=body), options={"max_error_bytes": LIMIT}, cut=_by_fifty).check_sound()
    demand(isinstance(seen.error, AgentError), f"HTTP status 500: {seen.summarize()[:300]}")
    demand(
        seen.received < 4 * LIMIT,
        f"{seen.received} bytes of a refusal were read, although max_error_bytes is {LIMIT}",
    )


def _by_fifty(data: bytes, _at: int) -> Iterator[bytes]:
    return (data[place : place + 50] for place in range(0, len(data), 50))


@required(
    "session.redirect-elsewhere",
    "A redirect that leads to another origin, or would change the request, is an error.",
    'docs/transports.md, "Redirects"',
)
def check_redirects(lab: Lab) -> None:
    """A redirect to another host would take the key and the input there.

    To mend it: leave redirects to the base class; name another host only by what the caller has chosen.
    """
    elsewhere = "//elsewhere.localhost/x"
    for code, location in ((307, f"http:{elsewhere}"), (308, elsewhere), (302, "/x")):
        seen = lab.feed(status(code, body=b"", headers={"Location": location})).check_sound()
        what = f"HTTP status {code} to {location}"
        demand(isinstance(seen.error, RunAgentError), f"{what}: {seen.summarize()}")
        demand(seen.session.wants.value == "done", f"{what}: the session wants {seen.session.wants.value!r}")
        more = seen.sent[seen.asked :]
        demand(not more, f"{what}: {more!r} was sent")
