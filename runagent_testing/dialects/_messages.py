"""The messages of a WebSocket, as a dialect understands them. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.public import publish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runagent_testing.dialects._hosting import RequestedAgent
    from runagent_testing.dialects._request import Request

__all__ = ["MessageContext", "MessageReply", "RunMessage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMessage:
    """A message that asks for the run.

    Attributes:
        body: The decoded message, as ``exchange.body`` shows it.
        input: The agent's input, as ``exchange.input`` shows it.
        fault: Why the message is invalid, which `Dialect.reject_message` writes; None if it is valid.
    """

    body: Any = field(default=None, repr=False)
    input: Any = field(default=None, repr=False)
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReply:
    """The answer to a message that does not ask for the run.

    Attributes:
        frames: The frames to send at once; empty for none.
        ends: Why the message ends the conversation; None if it does not. Before the run, this is
            ``exchange.refused``, and no script is used up. During the run, nothing more of the script is
            sent, and ``exchange.outcome`` is "cancelled".
    """

    frames: bytes = b""
    ends: str | None = None


@dataclass(frozen=True, slots=True)
class MessageContext:
    """The WebSocket on which a message has come.

    Attributes:
        request: The handshake.
        agent: The requested agent.
        messages: The client's earlier messages, in order.
        asked: The message that has asked for the run; None before that.
    """

    request: Request
    agent: RequestedAgent
    messages: Sequence[str | bytes]
    asked: RunMessage | None = None


publish(MessageContext, MessageReply, RunMessage, module="runagent_testing.dialects")
