"""What ``google-genai`` makes of a fake agent; run by an environment that has it.

    python gemini_client.py sync|async URL

prints what came out as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from google import genai
from google.genai import errors, types

TOOLS = [types.Tool(function_declarations=[types.FunctionDeclaration(name="weather", description="It.")])]
CONFIG = types.GenerateContentConfig(
    tools=TOOLS,
    system_instruction="Be brief.",
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


class Reader:
    """Makes runs with either client.

    Args:
        way: ``sync`` or ``async``.
        url: The base URL of the fake agent.
        key: The API key.
    """

    def __init__(self, way: str, url: str, key: str = "k1") -> None:
        self.is_async = way == "async"
        self.client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))
        self.models: Any = self.client.aio.models if self.is_async else self.client.models

    async def stream(self, model: str, contents: Any = "hi", config: Any = None) -> list[Any]:
        """Return the parts of a stream; an error is the last of them."""
        ask = {"model": model, "contents": contents, "config": config}
        found: list[Any] = []
        try:
            if self.is_async:
                async for piece in await self.models.generate_content_stream(**ask):
                    found += [piece]
            else:
                for piece in self.models.generate_content_stream(**ask):
                    found += [piece]
        except errors.APIError as refused:
            found.append({"code": refused.code, "status": refused.status})
        return found

    async def plain(self, model: str) -> Any:
        answer = self.models.generate_content(model=model, contents="hi")
        return await answer if self.is_async else answer


def parts(pieces: list[Any]) -> list[Any]:
    candidates = [piece.candidates[0] for piece in pieces if not isinstance(piece, dict)]
    return [part for each in candidates if each.content is not None for part in each.content.parts or ()]


def text(pieces: list[Any]) -> str:
    return "".join(part.text for part in parts(pieces) if part.text and not part.thought)


async def main(way: str, url: str) -> dict[str, Any]:
    """Make all runs; the fake agent's test has their answers in this order."""
    reader = Reader(way, url)
    first = await reader.stream("m", config=CONFIG)
    call = next(part.function_call for part in parts(first) if part.function_call)
    conversation = [
        types.Content(role="user", parts=[types.Part(text="hi")]),
        types.Content(role="model", parts=[types.Part(function_call=call)]),
        types.Content(
            role="user", parts=[types.Part.from_function_response(name=call.name, response={"sky": "blue"})]
        ),
    ]
    plain = await reader.plain("m")
    return {
        "text": text(first),
        "thoughts": "".join(part.text for part in parts(first) if part.thought),
        "call": [call.name, call.args],
        "end": [first[-1].candidates[0].finish_reason.value, first[-1].usage_metadata.total_token_count],
        "after the tool": text(await reader.stream("m", conversation)),
        "third turn": text(await reader.stream("m", [*conversation, "thanks"])),
        "failed": (await reader.stream("m"))[-1],
        "refused": await reader.stream("m"),
        "without a finish reason": text(await reader.stream("m")),
        "plain": [plain.text, plain.usage_metadata.total_token_count],
        "unknown": await reader.stream("nobody"),
        "wrong key": await Reader(way, url, "k2").stream("m"),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(*sys.argv[1:]))))
