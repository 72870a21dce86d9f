"""Official clients of other protocols, each asked for streams; run by official.py in its environment.

``python clients.py PROTOCOL URL TIMES`` asks the fake agent ``writer`` at URL so many times. As one JSON line
it prints of the last stream how many characters came, how it ended for the caller ("completed", or the class
of the exception), and the seconds of CPU that it took. Retries are off, and waiting for the next bytes is
limited to `SILENCE`, as far as the client has such settings.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
import time
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

SILENCE = 1.0  # seconds
AGENT = "writer"
QUESTION = "Tell me a story"


def openai_chat(url: str) -> Iterator[str]:
    from openai import OpenAI

    client = OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0, timeout=SILENCE)
    messages = [{"role": "user", "content": QUESTION}]
    with client.chat.completions.create(model=AGENT, messages=messages, stream=True) as chunks:
        for chunk in chunks:
            yield from (choice.delta.content or "" for choice in chunk.choices)


def openai_responses(url: str) -> Iterator[str]:
    from openai import OpenAI

    client = OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0, timeout=SILENCE)
    with client.responses.create(model=AGENT, input=QUESTION, stream=True) as events:
        for event in events:
            if event.type == "response.output_text.delta":
                yield event.delta


def anthropic(url: str) -> Iterator[str]:
    from anthropic import Anthropic

    client = Anthropic(base_url=url, api_key="key", max_retries=0, timeout=SILENCE)
    messages = [{"role": "user", "content": QUESTION}]
    with client.messages.stream(model=AGENT, max_tokens=100, messages=messages) as stream:
        yield from stream.text_stream


def ollama(url: str) -> Iterator[str]:
    from ollama import Client

    client = Client(host=url, timeout=SILENCE)
    for part in client.chat(model=AGENT, messages=[{"role": "user", "content": QUESTION}], stream=True):
        yield part.message.content or ""


def gemini(url: str) -> Iterator[str]:
    from google import genai
    from google.genai import types

    options = types.HttpOptions(base_url=url, timeout=int(SILENCE * 1000))
    with genai.Client(api_key="key", http_options=options) as client:
        for part in client.models.generate_content_stream(model=AGENT, contents=QUESTION):
            yield part.text or ""


def langgraph(url: str) -> Iterator[str]:
    from langgraph_sdk import get_sync_client

    client = get_sync_client(url=url, api_key=None, timeout=SILENCE)
    thread = client.threads.create()
    question = {"messages": [{"role": "user", "content": QUESTION}]}
    for part in client.runs.stream(thread["thread_id"], AGENT, input=question, stream_mode="messages-tuple"):
        if part.event == "messages":
            yield part.data[0]["content"]


def langgraph_messages(url: str) -> Iterator[str]:
    """Do with the pieces what their reader has to do for tool calls and reasoning: make messages of them."""
    from langchain_core.messages import AIMessageChunk
    from langgraph_sdk import get_sync_client

    client = get_sync_client(url=url, api_key=None, timeout=SILENCE)
    thread = client.threads.create()
    question = {"messages": [{"role": "user", "content": QUESTION}]}
    for part in client.runs.stream(thread["thread_id"], AGENT, input=question, stream_mode="messages-tuple"):
        if part.event == "messages" and part.data[0]["type"] == "AIMessageChunk":
            yield AIMessageChunk(**part.data[0]).text


def a2a(url: str, binding: str = "JSONRPC", version: str = "1.0") -> Iterator[str]:
    return from_async(_a2a(url, binding, version))


async def _a2a(url: str, binding: str, version: str) -> AsyncIterator[str]:
    import httpx
    from a2a.client import ClientConfig, ClientFactory
    from a2a.client.card_resolver import parse_agent_card
    from a2a.types import Message, Part, Role, SendMessageRequest

    async with httpx.AsyncClient(timeout=SILENCE) as http:
        card = (await http.get(f"{url}/a2a/{AGENT}/.well-known/agent-card.json")).json()
        chosen = [
            each
            for each in card["supportedInterfaces"]
            if (each["protocolBinding"], each["protocolVersion"]) == (binding, version)
        ]
        about = {name: value for name, value in card.items() if name not in ("url", "preferredTransport")}
        config = ClientConfig(httpx_client=http, streaming=True, supported_protocol_bindings=[binding])
        client = ClientFactory(config).create(parse_agent_card({**about, "supportedInterfaces": chosen}))
        message = Message(message_id=str(uuid.uuid4()), role=Role.ROLE_USER, parts=[Part(text=QUESTION)])
        async for response in client.send_message(SendMessageRequest(message=message)):
            if response.HasField("artifact_update"):
                for part in response.artifact_update.artifact.parts:
                    yield part.text


def from_async(texts: AsyncIterator[str]) -> Iterator[str]:
    with asyncio.Runner() as runner:
        while True:
            try:
                yield runner.run(anext(texts))  # type: ignore[arg-type]
            except StopAsyncIteration:
                return


CLIENTS: dict[str, Callable[[str], Iterator[str]]] = {
    "openai-chat": openai_chat,
    "openai-responses": openai_responses,
    "anthropic": anthropic,
    "ollama": ollama,
    "gemini": gemini,
    "langgraph": langgraph,
    "langgraph-messages": langgraph_messages,
    "a2a-jsonrpc": a2a,
    "a2a-http-json": functools.partial(a2a, binding="HTTP+JSON"),
    "a2a-jsonrpc-0.3": functools.partial(a2a, version="0.3"),
}


def main(protocol: str, url: str, times: str) -> None:
    for _ in range(int(times)):
        size, end, began = 0, "completed", time.process_time()
        try:
            for piece in CLIENTS[protocol](url):
                size += len(piece)
        except Exception as exc:  # noqa: BLE001 - what the client raises is what is looked at
            end = type(exc).__name__
        report = {"size": size, "end": end, "cpu": time.process_time() - began}
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
