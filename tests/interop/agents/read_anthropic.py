"""Reads with the official client ``anthropic``: a line of JSON on stdin asks, a line on stdout answers.

Asked is ``{"url", "key", "style", "do", "ask"}``: ``style`` is sync or async, ``do`` is events, message (by
the client's helper for streams), plain or models, and ``ask`` has the arguments. Answered is what came, and
the error.
"""

import asyncio
import json
import sys

import anthropic


def read(task, got):
    with anthropic.Anthropic(**options(task)) as client:
        if task["do"] == "events":
            for event in client.messages.create(stream=True, **task["ask"]):
                got.append(event.model_dump(mode="json"))
        elif task["do"] == "message":
            with client.messages.stream(**task["ask"]) as stream:
                got.append("".join(stream.text_stream))
                got.append(stream.get_final_message().model_dump(mode="json"))
        elif task["do"] == "plain":
            got.append(client.messages.create(**task["ask"]).model_dump(mode="json"))
        else:
            got.extend(model.id for model in client.models.list())


async def read_async(task, got):
    async with anthropic.AsyncAnthropic(**options(task)) as client:
        if task["do"] == "events":
            async for event in await client.messages.create(stream=True, **task["ask"]):
                got.append(event.model_dump(mode="json"))
        elif task["do"] == "message":
            async with client.messages.stream(**task["ask"]) as stream:
                got.append("".join([text async for text in stream.text_stream]))
                got.append((await stream.get_final_message()).model_dump(mode="json"))
        elif task["do"] == "plain":
            got.append((await client.messages.create(**task["ask"])).model_dump(mode="json"))
        else:
            got.extend([model.id async for model in client.models.list()])


def options(task):
    return {
        "base_url": task["url"],
        "api_key": task["key"],
        "max_retries": 0,
        "timeout": task.get("timeout", 10),
    }


for line in sys.stdin:
    task, got, error = json.loads(line), [], None
    try:
        if task["style"] == "async":
            asyncio.run(read_async(task, got))
        else:
            read(task, got)
    except Exception as exc:  # noqa: BLE001 - each is reported
        error = {"class": type(exc).__name__, "status": getattr(exc, "status_code", None), "text": str(exc)}
    sys.stdout.write(json.dumps({"got": got, "error": error}) + "\n")
    sys.stdout.flush()
