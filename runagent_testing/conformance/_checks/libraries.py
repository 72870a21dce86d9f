"""What is required of the requests that somebody else's library sends.

There is no session to feed, so whole runs are looked at: by the agent, by a proxy and by TLS.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from runagent._errors import ValidationError
from runagent_testing.conformance._checks.common import demand, only_where
from runagent_testing.conformance._checks.streams import expect_good
from runagent_testing.conformance._harness.certificates import (
    server_context,
    trusting_context,
    untrusting_context,
)
from runagent_testing.conformance._harness.proxy import RecordingProxy
from runagent_testing.conformance._harness.requirements import required
from runagent_testing.conformance._harness.violation import NOT_UNDERSTOOD, Violation

if TYPE_CHECKING:
    from runagent_testing._host.host import AgentHost
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing.conformance._harness.stage import Stage

_LIBRARY: dict[str, Any] = {"libraries": True, "players": ("socket",)}


def _request(host: AgentHost) -> Exchange:
    """Return the last request for a run.

    Raises:
        Violation: There is none.
    """
    if not host.requests:
        raise Violation(NOT_UNDERSTOOD)
    return host.requests[-1]


@required(
    "run.prefix",
    "The path of a library's request begins with the path of base_url.",
    'docs/transports.md, "Addresses"',
    **_LIBRARY,
)
async def check_prefix(stage: Stage) -> None:
    """A service may live below a path of its host, as behind a gateway.

    To mend it: give the library `str(call.base)` as its base URL, the path included.
    """
    stage.agent.always("x")
    await stage.run(base_url=f"{stage.host.url}/some/where")
    paths = [exchange.path for exchange in (*stage.host.requests, *stage.host.unmatched)]
    demand(bool(paths), f"with the base_url {stage.host.url}/some/where no request arrived")
    demand(
        all(path.startswith("/some/where/") for path in paths),
        f"with the base_url {stage.host.url}/some/where the request's path is {paths[-1]!r}",
    )


@required(
    "run.agent-id",
    "A library's request names the agent by its exact id.",
    'docs/transports.md, "Addresses"',
    **_LIBRARY,
)
async def check_agent_id(stage: Stage) -> None:
    """An agent's id may hold a slash, a question mark or any other character.

    To mend it: give the library the id as it is if it encodes paths, else `call.path(...)`.
    """
    for agent_id in ("a/b", "ü 🦊", "100%", "a?b#c&d=e"):
        stage.host.agent(agent_id).always("x")
        shown = await stage.run(agent_id=agent_id)
        asked = _request(stage.host).agent_id
        demand(asked == agent_id, f"the request names the agent {agent_id!r} as {asked!r}")
        expect_good(stage, shown, ["x"], f"a run of the agent {agent_id!r}")


@required(
    "run.input",
    "The agent receives the whole input, or the library refuses it as a ValidationError, and sends nothing.",
    'docs/streaming.md, "Start a run"',
    **_LIBRARY,
)
async def check_input(stage: Stage) -> None:
    """What a library does not pass on is lost without an error.

    To mend it: pass all members of `call.input` on (mostly as extra body), or raise ValidationError for
    the first unknown one.
    """
    stage.agent.always("x")
    plain: dict[str, Any] = {"query": 'Tell me a story, a "schön" 🦊 one\u2028\n'}
    for given in (plain, plain | {"temperature": 0.25, "kit": {"nested": [1, None, "ü"]}}):
        before = len(stage.host.requests)
        shown = await stage.run(given)
        if isinstance(shown.error, ValidationError) and given is not plain:
            sent = len(stage.host.requests) - before
            demand(sent == 0, f"the input {given!r} was sent, and then refused: {shown.error}")
            continue
        got = _request(stage.host).input
        only_where(got is not None, "the dialect does not show the input")
        demand(got == given, f"the input {given!r} arrived as {got!r}")


@required(
    "run.idempotency-key",
    "A library's request carries the run's Idempotency-Key, by which a service recognises a retried run.",
    'docs/errors.md, "What is tried again"',
    **_LIBRARY,
)
async def check_idempotency_key(stage: Stage) -> None:
    """A retried run has the same key as the first attempt, so a service can recognise it.

    To mend it: give the library `call.request_headers(...)` as extra header fields.
    """
    stage.agent.always("x")
    shown = await stage.run()
    got = _request(stage.host).raw_headers.get("idempotency-key")
    demand(got == shown.report.run_id, f"the Idempotency-Key {shown.report.run_id} was sent as {got!r}")


@required(
    "run.callers-headers",
    "A library sends the caller's header fields; they replace its own fields with the same names.",
    'docs/configuration.md, "Settings"',
    **_LIBRARY,
)
async def check_headers(stage: Stage) -> None:
    """Callers add header fields for tracing, tenants and gateways, and may replace those of the library.

    To mend it: give the library `call.request_headers(...)` as extra header fields.
    """
    stage.agent.always("x")
    fields = {"X-Kit": "here", "User-Agent": "kit/1"}
    await stage.run(headers=fields)
    sent = _request(stage.host).raw_headers
    for name, value in fields.items():
        got = sent.get(name.lower())
        demand(got == value, f"the caller's {name}: {value} was sent as {got!r}")


@required(
    "run.proxy",
    "A library sends its request through the caller's proxy, with the proxy's credentials, and nowhere else.",
    'docs/proxies-and-tls.md, "Proxies"',
    **_LIBRARY,
)
async def check_proxy(stage: Stage) -> None:
    """A caller behind a proxy reaches nothing without it; past it, rules of the network are broken.

    To mend it: configure the library's HTTP client with `address.proxy` and its `authorization`.
    """
    stage.agent.always("x")
    with RecordingProxy() as proxy:
        shown = await stage.run(proxy=f"http://kit:p%40ss@127.0.0.1:{proxy.port}")
    demand(not stage.host.connections, "the request went past the proxy, straight to the agent")
    demand(bool(proxy.heads), f"the proxy got no request: {shown.summarize()}")
    demand(
        shown.error is not None, f"the proxy refused the request with HTTP status 407: {shown.summarize()}"
    )
    wanted = f"basic {b64encode(b'kit:p@ss').decode()}".lower()
    got = any("proxy-authorization:" in head.lower() and wanted in head.lower() for head in proxy.heads)
    demand(got, "the proxy got no Proxy-Authorization with the credentials of its URL")


@required(
    "run.tls",
    "A library checks certificates with the caller's ssl_context, and trusts nothing else.",
    'docs/proxies-and-tls.md, "Certificates"',
    **_LIBRARY,
)
async def check_tls(stage: Stage) -> None:
    """The context may trust a private authority only; without its checks anyone in between gets the key.

    To mend it: configure the library's HTTP client with `address.ssl_context`, for example
    `verify=address.ssl_context`.
    """
    from runagent_testing._server.server import FakeAgentServer

    with FakeAgentServer(dialects=stage.subject.dialects, ssl_context=server_context()) as server:
        server.agent(stage.agent.id).always("x")
        shown = await stage.run(base_url=server.url, ssl_context=trusting_context())
        expect_good(stage, shown, ["x"], "with an ssl_context that trusts the server's authority")
        before = len(server.requests)
        shown = await stage.run(base_url=server.url, ssl_context=untrusting_context())
        sent = len(server.requests) - before
        demand(sent == 0, "with an ssl_context that trusts nobody, the request was sent all the same")
        demand(shown.error is not None, f"with an ssl_context that trusts nobody: {shown.summarize()}")
