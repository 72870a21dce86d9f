"""No credential that a client's network carries reaches the disk."""

from __future__ import annotations

import base64

import pytest

from runagent import RunAgentClient
from runagent_testing import MemoryNetwork, RecordingNetwork, chunk, done
from runagent_testing._recording.folder import RecordingFolder
from runagent_testing._recording.reading import read_recording
from tests.runagent_testing.recordings import Recorded, pass_through, recorded

TRANSPORTS = ("sse", "chunked", "websocket")

SECRET = "Zx9-8vTq7rKm2LpW"
BASIC = base64.b64encode(f"somebody:{SECRET}".encode()).decode()
FIELDS = {
    "authorization": f"Bearer {SECRET}",
    "proxy-authorization": f"Basic {BASIC}",
    "cookie": f"session={SECRET}",
    "x-api-key": SECRET,
    "api-key": SECRET,
    "x-goog-api-key": SECRET,
    "x-auth-token": SECRET,
}
ECHO = f"you sent {SECRET}, that is {BASIC}"


TEXT = f'event: chunk\ndata: {{"content":"{ECHO}"}}\n\n'.encode()
HEAD = f"HTTP/1.1 200 OK\r\nset-cookie: id={SECRET}\r\n\r\n".encode()


@pytest.mark.parametrize("name", FIELDS)
def test_no_credential_of_a_field_reaches_the_disk(tmp_path, name):
    for at in range(1, len(TEXT), 3):
        folder = tmp_path / str(at)
        pass_through(RecordingFolder(folder), HEAD, TEXT[:at], TEXT[at:], b"", **{name: FIELDS[name]})
        assert_clean(folder, BASIC if name == "proxy-authorization" else "")
    assert name in recorded(folder)[0]["redacted"]


@pytest.mark.parametrize("name", ["api_key", "client_secret"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_credential_of_a_body_or_message_reaches_the_disk(tmp_path, name, transport):
    virtual = Recorded("sync", tmp_path)
    virtual.memory.agent("a").always(f"you sent {SECRET}", chunk({name: SECRET}))

    async def scenario():
        stream = virtual.client(transport).run_generic_stream({"query": "x", "deep": [{name: SECRET}]})
        async for _ in stream:
            pass

    virtual.run(scenario)
    assert_clean(tmp_path)


def test_no_credential_of_the_target_or_of_a_cookie_that_is_set_reaches_the_disk(tmp_path):
    folder = RecordingFolder(tmp_path / "query")
    pass_through(folder, HEAD, TEXT[:50], TEXT[50:], b"", path=f"/v1/agents/a/stream?key={SECRET}")
    assert_clean(tmp_path / "query")
    assert recorded(tmp_path / "query")[0]["redacted"] == ["path"]
    pass_through(RecordingFolder(tmp_path / "cookie"), HEAD, TEXT[:50], TEXT[50:], b"")
    assert_clean(tmp_path / "cookie")


def test_no_userinfo_of_a_url_reaches_the_disk(tmp_path):
    virtual = Recorded("sync", tmp_path)
    text = f"see https://somebody:{SECRET}@example.com"
    virtual.memory.agent("a").always(text, done(message=text))

    async def scenario():
        async for _ in virtual.client().run_generic_stream(text):
            pass

    virtual.run(scenario)
    assert_clean(tmp_path)


def test_a_text_that_the_caller_names_is_hidden(tmp_path):
    virtual = Recorded("sync", tmp_path, secrets=["Jane Example"])
    virtual.memory.agent("a").always("to Jane Example", " from Jane ", "Example")
    virtual.events()
    assert "to Jane Example" not in next(tmp_path.iterdir()).read_text()


def assert_clean(folder, *more):
    (path,) = folder.iterdir()
    data = path.read_bytes()
    plain = b"".join(entry.data for entry in read_recording(path).entries)
    for secret in (SECRET, *filter(None, more)):
        for size in range(8, len(secret) + 1):
            assert secret[:size].encode() not in data + plain
            assert secret[-size:].encode() not in data + plain
    assert b"*" * 8 in data


def test_the_client_gets_the_bytes_as_they_came(tmp_path):
    memory = MemoryNetwork()
    memory.agent("a").always(f"you sent {SECRET}")
    client = RunAgentClient(
        "a", base_url=memory.url, network=RecordingNetwork(tmp_path, memory.blocking), api_key=SECRET
    )
    assert client.run_generic_stream("x").text() == f"you sent {SECRET}"
