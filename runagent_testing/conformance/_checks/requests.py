"""What is required of a session's request: where it goes, and what it carries."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from runagent._address.url import parse_base_url
from runagent_testing._script.steps import status
from runagent_testing.conformance._checks.common import demand, only_where
from runagent_testing.conformance._harness.feeding import Feeding
from runagent_testing.conformance._harness.logs import logged
from runagent_testing.conformance._harness.requirements import required
from runagent_testing.conformance._harness.subject import API_KEY
from runagent_testing.conformance._harness.violation import NOT_UNDERSTOOD, Violation
from runagent_testing.dialects import to_json

if TYPE_CHECKING:
    from runagent_testing.conformance._harness.lab import Lab


@required(
    "session.request-waits",
    "A new session's data_to_send returns its request, and returns it only once.",
    'docs/transport-api.md, "Session contract"',
)
def check_request(lab: Lab) -> None:
    """The client asks a new session for bytes, sends them, and asks again until there are none.

    To mend it: build the request in `make_request` (or `__init__`), and let `data_to_send` hand out each
    byte once.
    """
    session = lab.open(lab.subject.memory())
    again = lab.open(lab.subject.memory())
    demand(session is not again, "open returned the same session twice; make a new one each time")
    request = session.data_to_send()
    demand(bool(request), "data_to_send is empty after open")
    repeated = session.data_to_send()
    demand(not repeated, f"data_to_send returned {repeated[:80]!r} a second time")
    demand(
        lab.feed("x").exchange is not None,
        f"the fake agent does not recognise this as a request: {request[:200]!r}",
    )


@required(
    "session.prefix",
    "The request's path begins with the path of base_url.",
    'docs/transports.md, "Addresses"',
)
def check_prefix(lab: Lab) -> None:
    """A service may live below a path of its host, as behind a gateway.

    To mend it: build paths with `self.call.path("/v1/{agent_id}")`, which puts the path of base_url in
    front.
    """
    memory = lab.subject.memory()
    session = lab.open(memory, base=parse_base_url(f"{memory.url}/some/where"))
    line = session.data_to_send().partition(b"\r\n")[0].decode("latin-1")
    demand(" /some/where/" in line, f"with the base_url {memory.url}/some/where the request line is {line!r}")


@required(
    "session.agent-id",
    "The request names the agent by its exact id; characters that a URL cannot hold are percent-encoded.",
    'docs/transports.md, "Addresses"',
)
def check_agent_id(lab: Lab) -> None:
    """An agent's id may hold a slash, a question mark or any other character.

    To mend it: build paths with `self.call.path(...)`, which encodes the id as one segment; in JSON, send
    it as it is.
    """
    for agent_id in ("a/b", "ü 🦊", "100%", "a?b#c&d=e"):
        memory = lab.subject.memory()
        memory.agent(agent_id).always("x")
        seen = Feeding(memory, lab.open(memory, agent_id=agent_id)).run().check_sound()
        asked = None if seen.exchange is None else seen.exchange.agent_id
        demand(asked == agent_id, f"the request names the agent {agent_id!r} as {asked!r}")
        demand(seen.completed, f"a run of the agent {agent_id!r} gave {seen.summarize()}")


@required(
    "session.input",
    "The agent receives the input exactly as the caller passed it.",
    'docs/streaming.md, "Start a run"',
)
def check_input(lab: Lab) -> None:
    """The input belongs to the caller and the agent; what a transport changes in it, nobody sees.

    To mend it: encode `self.call.input` with `encode_json`, as UTF-8, and leave nothing out.
    """
    query: dict[str, Any] = {"query": 'Tell me a story, a "schön" 🦊 one\u2028\n'}
    given: dict[str, Any]
    for given in (query, {**query, "zero": 0, "no": False, "blank": "", "none": None, "empty": []}):
        seen = lab.feed("x", input=given)
        got = None if seen.exchange is None else seen.exchange.input
        only_where(got is not None, "the dialect does not show the input")
        demand(got == given, f"the input {given!r} arrived as {got!r}")


@required(
    "session.idempotency-key",
    "The request carries the call's Idempotency-Key, by which a service recognises a retried run.",
    'docs/errors.md, "What is tried again"',
)
def check_idempotency_key(lab: Lab) -> None:
    """A retried run has the same key as the first attempt, so a service can recognise it.

    To mend it: start from `self.call.request_headers(...)`, which has the field.
    """
    seen = lab.feed("x", idempotency_key="kit-1")
    got = None if seen.exchange is None else seen.exchange.raw_headers.get("idempotency-key")
    demand(got == "kit-1", f"the Idempotency-Key kit-1 was sent as {got!r}")


@required(
    "session.call-untouched",
    "A session does not modify the call: the next attempt uses it again.",
    'docs/transport-api.md, "Transport attributes"',
)
def check_call(lab: Lab) -> None:
    """All attempts of a run share one call, and the input is the caller's object.

    To mend it: copy before you change: `body = dict(self.call.input)`.
    """
    given: dict[str, Any] = {"query": "x", "parameters": {"a": [1]}}
    before = copy.deepcopy(given)
    lab.feed("x", input=given)
    demand(given == before, f"the session changed the input to {given!r}")


@required(
    "session.callers-headers",
    "The caller's header fields are sent; they replace the transport's own fields with the same names.",
    'docs/configuration.md, "Settings"',
)
def check_headers(lab: Lab) -> None:
    """Callers add header fields for tracing, tenants and gateways, and may replace yours.

    To mend it: start from `self.call.request_headers(...)` and append only fields that are not in it.
    """
    fields = (*lab.subject.call("http://x.test").headers, ("X-Kit", "here"), ("User-Agent", "kit/1"))
    seen = lab.feed("x", headers=fields)
    sent = {} if seen.exchange is None else seen.exchange.raw_headers
    for name, value in fields[-2:]:
        got = sent.get(name.lower())
        demand(got == value, f"the caller's {name}: {value} was sent as {got!r}")


@required(
    "session.key",
    "The service receives the API key; it appears in no URL, no repr, no log and no error text.",
    'docs/errors.md, "What errors do not show"',
)
def check_key(lab: Lab) -> None:
    """URLs, logs, reprs and error texts are stored and shown; a key in them is lost to others.

    To mend it: send the key in a header field (`request_headers` does it) or in a message, and log no
    request.
    """
    with logged() as log:
        answered, refused = lab.feed("x"), lab.feed(status(401, message="no"))
    for data in (*answered.sent, *refused.sent):
        line = data.partition(b"\r\n")[0].decode("latin-1")
        demand(API_KEY not in line, f"the key is in the request line: {line.replace(API_KEY, '<the key>')}")
    if answered.exchange is None:
        raise Violation(NOT_UNDERSTOOD)
    for what, text in {
        "path": answered.exchange.path,
        "repr of the session": f"{answered.session!r}{refused.session!r}",
        "repr of the transport": repr(lab.subject.transport),
        "error": f"{refused.error} {refused.error!r}",
        "log": "\n".join(log),
    }.items():
        demand(API_KEY not in text, f"the key is in the {what}")
    fields, messages = answered.exchange.raw_headers.values(), answered.exchange.messages
    texts = (
        message if isinstance(message, str) else message.decode("utf-8", "replace") for message in messages
    )
    carried = any(API_KEY in text for text in (*fields, *texts, to_json(answered.exchange.body)))
    demand(carried, "the service does not receive the key: no header field and no message carries it")
