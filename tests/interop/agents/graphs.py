"""Graphs for a LangGraph server, run by its own environment; their model is a script.

``chat`` answers, and calls a tool if it is asked about the weather. ``asking`` interrupts itself, ``failing``
raises.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

USAGE = {"input_tokens": 4, "output_tokens": 2, "total_tokens": 6}
PIECE = {"name": None, "id": None, "index": 0, "type": "tool_call_chunk"}


class State(TypedDict, total=False):
    """The conversation, and how often the model was asked."""

    messages: Annotated[list[Any], add_messages]
    asked: int


class Model(BaseChatModel):
    """Answers from the conversation: slowly if the question has the word, otherwise as fast as it can."""

    @property
    def _llm_type(self) -> str:
        return "script"

    def _pieces(self, messages: list[Any]) -> Iterator[AIMessageChunk]:
        last = messages[-1]
        question = str(last.content)
        if isinstance(last, ToolMessage):
            yield AIMessageChunk(content=f"It is {question}")
        elif "weather" in question:
            yield AIMessageChunk(content=[{"type": "thinking", "thinking": "A tool knows.", "index": 0}])
            yield AIMessageChunk(content="Let me see. ")
            yield AIMessageChunk(
                content="", tool_call_chunks=[{**PIECE, "name": "weather", "args": "", "id": "c1"}]
            )
            for part in ('{"city": ', '"Oslo"}'):
                yield AIMessageChunk(content="", tool_call_chunks=[{**PIECE, "args": part}])
        else:
            yield AIMessageChunk(content=f"{sum(isinstance(each, HumanMessage) for each in messages)}:")
            for word in question.split():
                yield AIMessageChunk(content=f" {word}")
        yield AIMessageChunk(content="", usage_metadata=USAGE, response_metadata={"finish_reason": "stop"})

    def _generate(self, messages: list[Any], *_: Any, **options: Any) -> ChatResult:
        first, *others = self._pieces(messages)
        return ChatResult(generations=[ChatGeneration(message=sum(others, start=first))])

    async def _astream(
        self, messages: list[Any], *_: Any, **options: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        pause = 0.03 if "slowly" in str(messages[-1].content) else 0
        for piece in self._pieces(messages):
            await asyncio.sleep(pause)
            yield ChatGenerationChunk(message=piece)


@tool
def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


async def _model(state: State) -> Any:
    if state["messages"][-1].content == "stuck":
        await asyncio.sleep(60)
    return {"messages": [await Model().ainvoke(state["messages"])], "asked": state.get("asked", 0) + 1}


async def _ask(state: State) -> Any:
    answer = interrupt({"question": "May I?"})
    return {"messages": [AIMessage(content=f"The answer was {answer}.")]}


async def _fail(state: State) -> Any:
    get_stream_writer()({"progress": 1})
    raise ValueError("the node is broken")


def _graph_of(node: Any) -> StateGraph[Any]:
    graph = StateGraph(State)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    return graph


def _chat() -> StateGraph[Any]:
    graph = _graph_of(_model)
    graph.add_node("tools", ToolNode([weather]))
    graph.add_conditional_edges(
        "node", lambda state: "tools" if state["messages"][-1].tool_calls else END, ["tools", END]
    )
    graph.add_edge("tools", "node")
    return graph


chat = _chat().compile()
asking = _graph_of(_ask).compile()
failing = _graph_of(_fail).compile()
