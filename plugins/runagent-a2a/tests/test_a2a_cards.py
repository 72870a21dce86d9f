"""How an agent is found: by its card, by options, at other origins, and again after it has moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentError, AgentNotFoundError, ConfigurationError, ProtocolError, RunAgentClient
from runagent_testing import FakeAgentServer, MemoryNetwork, delay, status

if TYPE_CHECKING:
    from tests.support.styles import Style

PATH = "/a2a/writer/.well-known/agent-card.json"
CARD = f"GET {PATH}"


def cards(host: Any) -> int:
    return [exchange.path for exchange in host.other_requests].count(PATH)


def read(style: Style, server: FakeAgentServer, times: int = 1, **options: Any) -> list[str]:
    async def scenario() -> list[str]:
        given = {"base_url": f"{server.url}/a2a/writer", "transport": "a2a", "retry_delay": 0.001}
        async with style.client("writer", **given | options) as client:
            return [await client.run_generic_stream("hi").text() for _ in range(times)]

    found: list[str] = style.run(scenario)
    return found


def in_memory(memory: MemoryNetwork, **options: Any) -> RunAgentClient:
    given: dict[str, Any] = {"base_url": f"{memory.url}/a2a/writer", "transport": "a2a", "max_retries": 0}
    return RunAgentClient("writer", network=memory.blocking, **(given | options))


def card(*interfaces: tuple[str, str, str], **fields: Any) -> Any:
    named = [
        {"url": url, "protocolBinding": binding, "protocolVersion": version}
        for url, binding, version in interfaces
    ]
    return status(200, body={**({"supportedInterfaces": named} if named else {}), **fields})


def test_one_card_serves_all_runs_of_a_client(style: Style, server: FakeAgentServer) -> None:
    server.agent("writer").always("Once")
    assert ["Once"] * 3 == read(style, server, times=3)
    assert (1, ["a2a-jsonrpc"] * 3) == (cards(server), [asked.transport for asked in server.requests])


@pytest.mark.parametrize(
    ("options", "transport"),
    [
        ({"a2a_binding": "HTTP+JSON"}, "a2a-http-json"),
        ({"a2a_version": "1.0"}, "a2a-jsonrpc"),
        ({"a2a_version": "0.3"}, "a2a-jsonrpc-0.3"),
    ],
)
def test_with_binding_or_version_no_card_is_read(
    style: Style, server: FakeAgentServer, options: dict[str, str], transport: str
) -> None:
    server.agent("writer").always("Once")
    assert ["Once"] == read(style, server, transport_options=options)
    assert ([], [transport]) == (server.other_requests, [asked.transport for asked in server.requests])


def test_an_agent_is_at_its_path_below_the_base_url(style: Style, server: FakeAgentServer) -> None:
    server.agent("writer").always("Once")
    options = {"a2a_path": "/a2a/{agent_id}"}
    assert ["Once"] == read(style, server, base_url=server.url, transport_options=options)
    assert 1 == cards(server)


def test_a_card_is_read_again_after_ten_minutes(memory: MemoryNetwork) -> None:
    memory.agent("writer").reply("a").reply(delay(590), "b").reply("c").reply(delay(20), "d").reply("e")
    with in_memory(memory, timeout=900) as client:
        asked = [(client.run_generic_stream("hi").text(), cards(memory)) for _ in range(5)]
    assert [("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 2)] == asked


def test_the_first_interface_that_is_spoken_counts(memory: MemoryNetwork) -> None:
    url = f"{memory.url}/a2a/writer"
    spoken = {
        "a2a-http-json": card(
            (f"{url}/grpc", "GRPC", "1.0"), (f"{url}/", "HTTP+JSON", "1.0.1"), (url, "JSONRPC", "1.0")
        ),
        "a2a-jsonrpc": card((url, "HTTP+JSON", "0.3"), (url, "JSONRPC", "1.0")),
        "a2a-jsonrpc-0.3": card(
            url=f"{url}/grpc",
            preferredTransport="GRPC",
            protocolVersion="0.3.0",
            additionalInterfaces=[{"url": url, "transport": "JSONRPC"}],
        ),
    }
    memory.agent("writer").always("Once")
    for answer in spoken.values():
        memory.on_request(CARD, answer)
        with in_memory(memory) as client:
            assert "Once" == client.run_generic_stream("hi").text()
    assert list(spoken) == [asked.transport for asked in memory.requests]


def test_a_tenant_of_the_card_or_of_the_options_is_named(memory: MemoryNetwork) -> None:
    url = f"{memory.url}/a2a/writer"
    interface = {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0", "tenant": "t1"}
    memory.agent("writer").always("Once")
    for options in ({}, {"a2a_tenant": "t2"}):
        memory.on_request(CARD, status(200, body={"supportedInterfaces": [interface]}))
        with in_memory(memory, transport_options=options) as client:
            client.run_generic_stream("hi").text()
    assert ["t1", "t2"] == [asked.body["params"]["tenant"] for asked in memory.requests]


def test_a_tenant_is_the_first_part_of_a_path_of_http_json(memory: MemoryNetwork) -> None:
    memory.agent("writer").always("Once")
    with in_memory(memory, transport_options={"a2a_binding": "HTTP+JSON", "a2a_tenant": "a/b"}) as client:
        client.run_generic_stream("hi").text()
    assert ["/a2a/writer/a%2Fb/message:stream"] == [asked.path for asked in memory.requests]


def test_another_origin_has_to_be_allowed(style: Style, server: FakeAgentServer) -> None:
    with FakeAgentServer() as there:
        there.agent("writer").always("Once")
        elsewhere = card((f"{there.url}/a2a/writer", "JSONRPC", "1.0"))
        server.on_request(CARD, elsewhere)
        assert ["Once"] == read(style, server, api_key="k3y", allowed_origins=[there.url])
        assert ["Bearer k3y"] == [asked.raw_headers["authorization"] for asked in there.requests]
        server.on_request(CARD, elsewhere)
        with pytest.raises(ConfigurationError) as caught:
            read(style, server, api_key="k3y")
        assert ("ORIGIN_NOT_ALLOWED", 1) == (caught.value.code, len(there.requests))


def test_an_agent_that_has_moved_is_found_by_its_new_card(style: Style, server: FakeAgentServer) -> None:
    server.on_request(CARD, card((f"{server.url}/a2a/gone/old", "JSONRPC", "1.0")))
    server.on_request(
        "POST /a2a/gone/old", status(200, body={"error": {"code": -32603, "message": "not yet"}})
    )
    server.on_request("POST /a2a/gone/old", status(404, body="Not Found"))
    server.agent("writer").always("Once")

    async def scenario() -> None:
        url = f"{server.url}/a2a/writer"
        async with style.client("writer", base_url=url, transport="a2a", retry_delay=0.001) as client:
            with pytest.raises(AgentError, match="not yet"):
                await client.run_generic_stream("hi").text()
            assert "Once" == await client.run_generic_stream("hi").text()

    style.run(scenario)
    assert 2 == cards(server)


@pytest.mark.parametrize(
    "body",
    [
        "<p>",
        [],
        {},
        {"supportedInterfaces": 7},
        {
            "supportedInterfaces": [
                {"url": "http://elsewhere", "protocolBinding": "GRPC", "protocolVersion": "1.0"}
            ]
        },
        {
            "supportedInterfaces": [
                {"url": "file:///etc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
            ]
        },
        {"supportedInterfaces": [{"protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]},
    ],
)
def test_a_card_that_is_of_no_use_is_an_error_and_not_kept(memory: MemoryNetwork, body: Any) -> None:
    memory.agent("writer").reply("Once")
    memory.on_request(CARD, status(200, body=body))
    with in_memory(memory) as client:
        with pytest.raises(ProtocolError):
            client.run_generic_stream("hi").text()
        assert "Once" == client.run_generic_stream("hi").text()


def test_a_card_that_fails_for_a_moment_is_asked_for_again(style: Style, server: FakeAgentServer) -> None:
    server.agent("writer").always("Once")
    server.on_request(CARD, status(503))
    assert ["Once"] == read(style, server)
    assert (2, 1) == (cards(server), len(server.requests))


def test_an_unknown_agent_is_named_and_a_host_without_agents_changes_the_transport(
    memory: MemoryNetwork,
) -> None:
    with (
        in_memory(memory, transport=["a2a", "sse"]) as client,
        pytest.raises(AgentNotFoundError, match="writer"),
    ):
        client.run_generic_stream("hi").text()
    memory.clear()
    memory.agent("writer").reply("Once")
    memory.on_request("GET /.well-known/agent-card.json", status(404, body=b"Not Found"))
    with in_memory(memory, transport=["a2a", "sse"], base_url=memory.url) as client:
        assert "Once" == client.run_generic_stream("hi").text()
    assert ["sse"] == [asked.transport for asked in memory.requests]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"a2a_bindings": "JSONRPC"}, "unknown 'a2a_bindings'"),
        ({"a2a_binding": "GRPC"}, 'expected "JSONRPC" or "HTTP\\+JSON", found \'GRPC\''),
        ({"a2a_version": 1.0}, "a2a_version"),
        ({"a2a_binding": "HTTP+JSON", "a2a_version": "0.3"}, "not supported; use JSONRPC"),
    ],
)
def test_options_are_checked(memory: MemoryNetwork, options: dict[str, Any], problem: str) -> None:
    with (
        in_memory(memory, transport_options=options) as client,
        pytest.raises(ConfigurationError, match=problem),
    ):
        client.run_generic_stream("hi").text()
