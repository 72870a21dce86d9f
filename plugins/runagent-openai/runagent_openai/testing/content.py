"""What a chunk of a script is in the format of these protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_testing.dialects import to_json

if TYPE_CHECKING:
    from runagent_testing.dialects import Done

__all__ = ["as_call", "as_refusal", "as_text", "call_item", "chat_call", "finish_reason"]


def as_call(content: Any) -> tuple[str, str, str] | None:
    """Return id, name and arguments of a tool call in the form of either endpoint; None for anything else."""
    match content:
        case {"type": "function", "function": {"name": str(name), "arguments": str(arguments)}}:
            return str(content.get("id", "call_0")), name, arguments
        case {"type": "function_call", "name": str(name), "arguments": str(arguments)}:
            return str(content.get("call_id", "call_0")), name, arguments
    return None


def as_refusal(content: Any) -> str | None:
    """Return the text of a refusal; None for anything else."""
    match content:
        case {"type": "refusal", "refusal": str(text)}:
            return text
    return None


def as_text(content: Any) -> str:
    """Return a text as it is, any other value as JSON."""
    return content if isinstance(content, str) else to_json(content)


def chat_call(call: tuple[str, str, str]) -> dict[str, Any]:
    """Write a call as a message of a chat completion has it."""
    id_, name, arguments = call
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def call_item(call: tuple[str, str, str], number: int) -> dict[str, Any]:
    """Write a call as an item of a response's output."""
    id_, name, arguments = call
    return {
        "type": "function_call",
        "id": f"fc_{number}",
        "call_id": id_,
        "name": name,
        "arguments": arguments,
        "status": "completed",
    }


def finish_reason(step: Done, otherwise: str) -> str:
    """Return why the model stopped, as the script has it."""
    return step.stop_reason or str((step.metadata or {}).get("finish_reason", otherwise))
