"""The conformance kit, over each binding; one of them finds the agent by its card."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from runagent_testing import chunk, custom, done, error, heartbeat, raw
from runagent_testing.conformance import TransportConformance
from tests.support.kit import in_short

AGENT_PATH = {"a2a_path": "/a2a/{agent_id}"}
FILE = {"url": "https://files.example/a.png", "mediaType": "image/png", "filename": "a.png"}
QUESTION = {"form": {"city": "text"}, "of": [2.5, None, True]}


def rpc(result: str) -> bytes:
    return f'data: {{"jsonrpc": "2.0", "id": 1, "result": {result}}}\n\n'.encode()


ARTIFACT = (
    '{"taskId": "t", "contextId": "c", "artifact": {"artifactId": "pages", "name": "pages",'
    ' "parts": [{"text": "Two "}, {"data": [1, null]}, {"text": "pages"}]}, "lastChunk": true}'
)
ARTIFACT_0_3 = (
    '{"kind": "artifact-update", "taskId": "t", "contextId": "c", "artifact": {"artifactId": "pages",'
    ' "parts": [{"kind": "text", "text": "Two "}, {"kind": "file", "file": {"bytes": "UE5H"}}]}}'
)


def samples(artifact: bytes, failure: bytes) -> dict[str, tuple[object, ...]]:
    return {
        "artifacts": (
            chunk("Once", event="story"),
            chunk("Un", event="title"),
            chunk(" upon", event="story"),
        ),
        "a file, a status, metadata": (
            "See: ",
            custom("file", FILE),
            heartbeat(),
            custom("status", {"message": {"messageId": "m", "parts": []}}),
            custom("urn:example:progress", {"done": 0.5}),
            done("that was it", metadata={"page": 1}),
        ),
        "a question": ("Well. ", done("Which city?", interrupts=[QUESTION], metadata={"asked": "once"})),
        "an artifact of several parts": ("See: ", raw(artifact), custom("urn:example:step", 2)),
        "an error of the protocol": ("Well. ", raw(failure), error("-32603", "no room left")),
    }


class TestByCard(TransportConformance):
    requirements = 1
    styles = in_short("sync")
    players = ("memory",)
    options = MappingProxyType({"transport_options": AGENT_PATH})

    @pytest.fixture
    def transport(self) -> str:
        return "a2a"

    @pytest.fixture
    def samples(self) -> dict[str, tuple[object, ...]]:
        failure = b'event: error\ndata: {"error": {"code": -32603, "message": "no room left"}, "id": 1}\n\n'
        return samples(rpc(f'{{"artifactUpdate": {ARTIFACT}}}'), failure)


class TestHttpJson(TestByCard):
    styles = in_short("trio")
    options = MappingProxyType({"transport_options": AGENT_PATH | {"a2a_binding": "HTTP+JSON"}})

    @pytest.fixture
    def samples(self) -> dict[str, tuple[object, ...]]:
        failure = (
            b'event: error\ndata: {"error": {"code": 500, "status": "INTERNAL", "message": "no room"}}\n\n'
        )
        return samples(f'data: {{"artifactUpdate": {ARTIFACT}}}\n\n'.encode(), failure)


class TestVersion03(TestByCard):
    styles = in_short("asyncio")
    options = MappingProxyType({"transport_options": AGENT_PATH | {"a2a_version": "0.3"}})

    @pytest.fixture
    def samples(self) -> dict[str, tuple[object, ...]]:
        failure = (
            b'data: {"error": {"code": -32603, "message": "no room left"}, "id": 1, "jsonrpc": "2.0"}\n\n'
        )
        return samples(rpc(ARTIFACT_0_3), failure)
