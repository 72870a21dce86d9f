"""What ``langgraph-sdk`` makes of a fake agent; run by an environment that has it.

    python langgraph_client.py sync|async URL

prints what came out as JSON.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from typing import Any

import httpx
from langgraph_sdk import get_client, get_sync_client

MODES = ["messages-tuple", "updates"]


async def whole(stream: Any) -> list[Any]:
    """Return the parts of a stream of either client."""
    return list(stream) if hasattr(stream, "__iter__") else [part async for part in stream]


async def done(value: Any) -> Any:
    """Wait for what the asynchronous client returns."""
    return await value if inspect.isawaitable(value) else value


def text(parts: list[Any]) -> str:
    return "".join(part.data[0]["content"] for part in parts if part.event == "messages")


def updates(parts: list[Any]) -> list[Any]:
    return [part.data for part in parts if part.event == "updates"]


async def main(client: Any) -> dict[str, Any]:
    """Make all runs; the fake agent's test has their answers in this order."""
    thread = (await done(client.threads.create()))["thread_id"]

    async def run(agent: str = "chat", **fields: Any) -> list[Any]:
        ask = {"input": {"messages": [{"role": "user", "content": "hi"}]}} | fields
        return await whole(client.runs.stream(thread, agent, stream_mode=MODES, stream_resumable=True, **ask))

    first = await run()
    run_id = first[0].data["run_id"]
    messages = [update["agent"]["messages"][0] for update in updates(first)]
    interrupted = await run()
    answered = await run(input=None, command={"resume": {"i1": "yes"}})
    failed = await run()
    again = await run()
    joined = client.runs.join_stream(thread, again[0].data["run_id"], last_event_id=again[1].id)
    waited = await done(client.runs.wait(None, "chat", input={}))
    try:
        await run("nobody")
    except httpx.HTTPStatusError as refused:
        unknown = refused.response.status_code
    return {
        "text": text(first),
        "calls": [call["args"] for message in messages for call in message["tool_calls"]],
        "usage": messages[-1]["usage_metadata"]["total_tokens"],
        "status": (await done(client.runs.get(thread, run_id)))["status"],
        "interrupts": [each["value"] for each in updates(interrupted)[-1]["__interrupt__"]],
        "answered": text(answered),
        "failed": next(part.data for part in failed if part.event == "error"),
        "joined": text(await whole(joined)),
        "cancelled": await cancelled(client, thread),
        "waited": waited["messages"][0]["content"],
        "unknown": unknown,
        "cut": text(await run("cut")),
    }


async def cancelled(client: Any, thread: str) -> str:
    """Cancel a run that has begun to stream, and return its status."""
    stream = client.runs.stream(thread, "slow", stream_mode=MODES, stream_resumable=True)
    first = next(stream) if hasattr(stream, "__next__") else await anext(stream)
    await done(client.runs.cancel(thread, first.data["run_id"]))
    await whole(stream)
    status: str = (await done(client.runs.get(thread, first.data["run_id"])))["status"]
    return status


if __name__ == "__main__":
    way, url = sys.argv[1:]
    made = get_sync_client(url=url, api_key=None) if way == "sync" else get_client(url=url, api_key=None)
    sys.stdout.write(json.dumps(asyncio.run(main(made))))
