"""Reads with the official client ``ollama``: a line of JSON on stdin asks, a line on stdout answers.

Asked is ``{"url", "key", "style", "do", "ask"}``: ``style`` is sync or async, ``do`` is chat, generate or
models, and ``ask`` has the arguments. Answered is what came, and the error.
"""

import asyncio
import json
import sys

import ollama


def read(task, got):
    client = ollama.Client(**options(task))
    try:
        if task["do"] == "models":
            got.extend(model.model for model in client.list().models)
            return
        answer = getattr(client, task["do"])(**task["ask"])
        for part in answer if task["ask"].get("stream") else [answer]:
            got.append(part.model_dump(mode="json"))
    finally:
        client.close()


async def read_async(task, got):
    client = ollama.AsyncClient(**options(task))
    try:
        if task["do"] == "models":
            got.extend(model.model for model in (await client.list()).models)
            return
        answer = await getattr(client, task["do"])(**task["ask"])
        if not task["ask"].get("stream"):
            got.append(answer.model_dump(mode="json"))
            return
        async for part in answer:
            got.append(part.model_dump(mode="json"))
    finally:
        await client.close()


def options(task):
    headers = {"Authorization": f"Bearer {task['key']}"}
    return {"host": task["url"], "headers": headers, "timeout": task.get("timeout", 10)}


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
