"""The transports of model services, and aimock as the service: one conversation, the same code for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentServerError, Reasoning
from tests.interop.peers import met
from tests.interop.programs import NODE_PACKAGES, Port, Program, find, needs_node_packages
from tests.interop.protocols.asking import ask_over
from tests.interop.protocols.conversation import QUESTION, TOOLS, said, with_results

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.styles import Style

pytestmark = [pytest.mark.interop, needs_node_packages()]

AGENTS = Path(__file__).parents[1] / "agents"
A_SEAT = {"role": "user", "content": "A seat, please"}


@dataclass(frozen=True)
class Service:
    """A model service, as the configuration names it.

    Attributes:
        transport: The transport's name.
        options: Its ``transport_options``.
        thinks: Whether aimock sends reasoning in this protocol.
    """

    transport: str
    options: dict[str, str] = field(default_factory=dict)
    thinks: bool = True


SERVICES = {
    "anthropic": Service("anthropic"),
    "gemini": Service("gemini"),
    "ollama": Service("ollama", thinks=False),
    "openai-chat": Service("openai"),
    "openai-responses": Service("openai", {"openai_api": "responses"}),
}
services = pytest.mark.parametrize(
    "service",
    [
        pytest.param(service, id=name, marks=met(service.transport, "@copilotkit/aimock", "server"))
        for name, service in SERVICES.items()
    ],
)


@pytest.fixture(scope="module")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of aimock's model services."""
    log = tmp_path_factory.mktemp("aimock") / "log"
    with Port() as port:
        command = [find("node"), AGENTS / "aimock_models.mjs", port.number]
        with Program(command, port, log, {"NODE_PACKAGES": str(NODE_PACKAGES)}) as program:
            yield program.url


@services
def test_three_turns_with_a_tool(style: Style, aimock: str, service: Service) -> None:
    async def scenario() -> tuple[list[str], list[Any], list[bool]]:
        texts: list[str] = []
        calls: list[Any] = []
        thoughts: list[bool] = []
        messages: list[dict[str, Any]] = [QUESTION]
        options: dict[str, Any] = {"transport": service.transport, "transport_options": service.options}
        async with style.client("model", base_url=aimock, api_key="key", **options) as client:
            while len(texts) < 3:
                stream = client.run_generic_stream({"messages": messages, "tools": TOOLS})
                events = [event async for event in stream.events()]
                texts.append("".join(event.content for event in events if hasattr(event, "content")))
                thoughts.append(any(isinstance(event, Reasoning) for event in events))
                calls += stream.tool_calls
                made = list(stream.tool_calls)
                messages += with_results(texts[-1], made) if made else [said(texts[-1], []), A_SEAT]
        return texts, calls, thoughts

    texts, (call,), thoughts = style.run(scenario)
    assert ["Let me see.", "It is sunny.", "It is booked: 7A. 😀"] == texts
    assert ("weather", '{"city":"Oslo"}') == (call.name, call.arguments.replace(": ", ":"))
    assert [service.thinks, False, False] == thoughts


@services
def test_a_refusal(style: Style, aimock: str, service: Service) -> None:
    _, failed = ask_over(service.transport, style, aimock, "fail", **service.options)
    assert (AgentServerError, 503, "no room left") == (type(failed), failed.status, failed.message)
