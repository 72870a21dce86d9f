"""Agents of pydantic-ai behind its adapters for AG-UI and the AI SDK, with functions for models."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from ag_ui.core import EventType, StateSnapshotEvent
from pydantic_ai import Agent, DeferredToolRequests, ToolReturn
from pydantic_ai.messages import ModelMessage, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, DeltaThinkingPart, DeltaToolCall, FunctionModel
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import ExternalToolset
from pydantic_ai.ui.ag_ui import AGUIAdapter
from pydantic_ai.ui.vercel_ai import VercelAIAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def results(messages: list[ModelMessage]) -> list[Any]:
    """The results of tools since the last message that is not one."""
    return [part.content for part in messages[-1].parts if isinstance(part, ToolReturnPart)]


def model(function: Any) -> FunctionModel:
    """A model that streams what the function yields."""
    return FunctionModel(stream_function=function)


async def story(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
    yield {0: DeltaThinkingPart(content="a story, ")}
    yield {0: DeltaThinkingPart(content="then")}
    for word in ("Once", " upon", " a ", "tïme 🦊"):
        yield word


async def paced(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
    """Stream for a second, with pauses from 5 to 80 ms."""
    for number in range(30):
        yield f"word {number}, "
        await asyncio.sleep((0.005, 0.02, 0.08, 0.035)[number % 4])


async def failing(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
    yield "Once"
    raise RuntimeError("no room left")


async def conversing(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
    """Ask for the weather, which the caller knows; then for a booking, which somebody has to approve."""
    asked = str(messages)
    if "booked" in str(results(messages)):
        yield f"It is {results(messages)[-1]}."
    elif found := results(messages):
        yield f"It is {found[-1]}. "
        yield {1: DeltaToolCall(name="book", json_args='{"seat": ', tool_call_id="book-1")}
        yield {1: DeltaToolCall(json_args='"7A"}')}
    elif "Oslo" in asked:
        yield "Let me see."
        yield {1: DeltaToolCall(name="weather", json_args='{"city": "Os', tool_call_id="weather-1")}
        yield {1: DeltaToolCall(json_args='lo"}')}
    else:
        yield "Where?"


async def counting(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
    if not (found := results(messages)):
        yield {0: DeltaToolCall(name="count", json_args="{}", tool_call_id="count-1")}
    else:
        yield f"counted {found[-1]}"


conversation: Any = Agent(model(conversing), output_type=[str, DeferredToolRequests])
counter: Any = Agent(model(counting))


@conversation.tool_plain(requires_approval=True)
def book(seat: str) -> ToolReturn:
    snapshot = StateSnapshotEvent(type=EventType.STATE_SNAPSHOT, snapshot={"seat": seat})
    return ToolReturn(return_value=f"booked: {seat}", metadata=[snapshot])


@counter.tool_plain
def count() -> ToolReturn:
    snapshot = StateSnapshotEvent(type=EventType.STATE_SNAPSHOT, snapshot={"count": 1})
    return ToolReturn(return_value="1", metadata=[snapshot])


AGENTS: dict[str, Any] = {
    "story": Agent(model(story)),
    "paced": Agent(model(paced)),
    "failing": Agent(model(failing)),
    "conversation": conversation,
    "counter": counter,
}


# A tool that the caller makes: with AG-UI its request has it, with the AI SDK the server knows it.
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = ExternalToolset([ToolDefinition(name="weather", parameters_json_schema=CITY)])


async def answer(request: Request) -> Response:
    agent = AGENTS.get(request.path_params["name"])
    if agent is None:
        return Response(status_code=404, content="Not Found")
    if request.path_params["protocol"] == "vercel":
        return await VercelAIAdapter.dispatch_request(request, agent=agent, sdk_version=6, toolsets=[WEATHER])
    return await AGUIAdapter.dispatch_request(request, agent=agent, include_usage=True)


if __name__ == "__main__":
    routes = [Route("/{protocol}/{name}", answer, methods=["POST"])]
    uvicorn.run(Starlette(routes=routes), port=int(sys.argv[1]), log_level="warning")
