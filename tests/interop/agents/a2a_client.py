"""The client of a2a-sdk; run by an environment that has it.

    python a2a_client.py URL BINDING VERSION ACTION ARGUMENT …

reads the card below URL, and prints what comes over that interface as one JSON object a line. Actions:
``send`` TEXT [TASK CONTEXT], ``plain`` TEXT, ``subscribe`` TASK, ``get`` TASK, ``cancel`` TASK. An exception
is an object, too.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import httpx
from a2a.client import ClientConfig, ClientFactory
from a2a.client.card_resolver import parse_agent_card
from a2a.client.errors import A2AClientError
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    SubscribeToTaskRequest,
)
from a2a.utils.errors import A2AError
from google.protobuf.json_format import MessageToDict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def asked(text: str, task: str = "", context: str = "") -> SendMessageRequest:
    message = Message(
        message_id="m1", role=Role.ROLE_USER, parts=[Part(text=text)], task_id=task, context_id=context
    )
    return SendMessageRequest(message=message)


async def events(client: Any, action: str, arguments: list[str]) -> AsyncIterator[Any]:
    """Take an action, and yield what comes."""
    match action:
        case "send" | "plain":
            async for event in client.send_message(asked(*arguments)):
                yield event
        case "subscribe":
            async for event in client.subscribe(SubscribeToTaskRequest(id=arguments[0])):
                yield event
        case "get":
            yield await client.get_task(GetTaskRequest(id=arguments[0]))
        case "cancel":
            yield await client.cancel_task(CancelTaskRequest(id=arguments[0]))


async def main(url: str, binding: str, version: str, action: str, *arguments: str) -> None:
    """Print what comes."""
    async with httpx.AsyncClient(trust_env=False) as http:
        card = (await http.get(f"{url}/.well-known/agent-card.json")).json()
        only = [
            each
            for each in card["supportedInterfaces"]
            if (each["protocolBinding"], each["protocolVersion"]) == (binding, version)
        ]
        about = {name: value for name, value in card.items() if name not in ("url", "preferredTransport")}
        config = ClientConfig(
            httpx_client=http,
            streaming=action != "plain",
            supported_protocol_bindings=["JSONRPC", "HTTP+JSON"],
        )
        client = ClientFactory(config).create(parse_agent_card({**about, "supportedInterfaces": only}))
        try:
            async for event in events(client, action, list(arguments)):
                show(MessageToDict(event))
        except (A2AError, A2AClientError) as raised:
            show({"raised": type(raised).__name__, "message": str(raised)})


def show(value: Any) -> None:
    sys.stdout.write(f"{json.dumps(value)}\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
