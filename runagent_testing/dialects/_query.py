"""The user's query in the inputs of many protocols. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["query_in"]

_MESSAGES = ("messages", "input", "contents")  # most protocols, OpenAI's Responses, Gemini


def query_in(given: Any) -> Any:
    """Return the query of an input or, if it has messages, the last text of the user; None if it has none."""
    if not isinstance(given, Mapping):
        return given if isinstance(given, str) else None
    if "query" in given:
        return _text(given["query"]) or given["query"]
    messages: list[Any] = next((given[name] for name in _MESSAGES if isinstance(given.get(name), list)), [])
    texts = (
        _text(message.get("content", message.get("parts"))) for message in messages if _is_users(message)
    )
    return next(reversed([text for text in texts if text]), None)


def _is_users(message: object) -> bool:
    if not isinstance(message, dict):
        return False
    # LangChain's messages have a type, and Gemini's may have no role.
    return message.get("role", message.get("type", "user" if "parts" in message else "")) in ("user", "human")


def _text(content: object) -> str:
    """Join the texts of a message's content; empty if it has none, as one with a tool's result."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))
