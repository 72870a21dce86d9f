"""``google-genai`` and the fake agent that speaks ``gemini``; ``runagent-gemini`` reads the same."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runagent import StreamTruncatedError
from runagent_testing import FakeAgentServer, done, ending, error, reasoning, status, tool_call
from tests.interop.peers import met
from tests.interop.programs import environment, needs_environment

if TYPE_CHECKING:
    from tests.support.styles import Style

pytestmark = [pytest.mark.interop, needs_environment("gemini"), met("gemini", "google-genai", "client")]

CLIENT = Path(__file__).parents[1] / "agents" / "gemini_client.py"
USAGE = {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 7}


@pytest.mark.parametrize("way", ["sync", "async"])
def test_the_client_reads_the_dialect(way: str) -> None:
    with FakeAgentServer(api_key="k1") as server:
        agent = server.agent("m").returns("Once", usage=USAGE)
        call = tool_call("weather", {"city": "Oslo"})
        agent.reply(reasoning("Hm."), "Let me ", "see.", call, done(usage=USAGE))
        agent.reply("Blue").reply("Welcome").reply("Once", error("UNAVAILABLE", "overloaded"))
        agent.reply(status(400, message="no")).reply("Once", ending("no-done"))
        command = [environment("gemini"), CLIENT, way, server.url]
        ran = subprocess.run(
            list(map(str, command)),
            env={"HOME": "/nonexistent"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (0, "") == (ran.returncode, ran.stderr)
        asked = [exchange.body for exchange in server.requests]
    assert {
        "text": "Let me see.",
        "thoughts": "Hm.",
        "call": ["weather", {"city": "Oslo"}],
        "end": ["STOP", 7],
        "after the tool": "Blue",
        "third turn": "Welcome",
        "failed": {"code": 500, "status": "UNAVAILABLE"},
        "refused": [{"code": 400, "status": "INVALID_ARGUMENT"}],
        "without a finish reason": "Once",  # which the client takes for a good end
        "plain": ["Once", 7],
        "unknown": [{"code": 404, "status": "NOT_FOUND"}],
        "wrong key": [{"code": 400, "status": "INVALID_ARGUMENT"}],
    } == json.loads(ran.stdout)
    assert "functionDeclarations" in asked[0]["tools"][0]


def test_three_turns_by_the_transport(style: Style, agents: FakeAgentServer) -> None:
    agents.agent("m").reply("one").reply("two").reply("three", ending("no-done"))

    async def scenario() -> list[str]:
        user = style.client("m", base_url=agents.url, transport="gemini", max_retries=0)
        texts, messages = [], []
        for question in ("a", "b"):
            messages.append({"role": "user", "content": question})
            texts.append(await user.run_generic_stream({"messages": messages}).text())
            messages.append({"role": "assistant", "content": texts[-1]})
        with pytest.raises(StreamTruncatedError):  # where the client sees a good end
            await user.run_generic_stream({"messages": [*messages, {"role": "user", "content": "c"}]}).text()
        return texts

    assert ["one", "two"] == style.run(scenario)
    roles: list[Any] = [[each["role"] for each in exchange.body["contents"]] for exchange in agents.requests]
    assert ["user", "model", "user", "model", "user"] == roles[-1]
