"""The transport: which endpoint is asked, and whether for a stream."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from runagent import ConfigurationError
from runagent.transports import Capability
from runagent_openai.chat import ChatPlain, ChatStream
from runagent_openai.responses import ResponsesPlain, ResponsesStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent.transports import AgentCall, ResumePoint, Route, Session

__all__ = ["OpenAITransport"]

_APIS = {"chat": (ChatStream, ChatPlain), "responses": (ResponsesStream, ResponsesPlain)}
_OPTIONS = ("openai_api", "openai_include_usage")


class OpenAITransport:
    """Runs a model, or what is behind a model's name, over Chat Completions or Responses."""

    name = "openai"
    api_version = 1
    capabilities = frozenset({Capability.HEARTBEATS, Capability.INVOKE, Capability.REUSE})
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Begin a session.

        Raises:
            ConfigurationError: An option of this transport is not usable.
            ValidationError: The input is none that the endpoint could take.
        """
        _check_options(call.options)
        stream, plain = _APIS[call.options.get("openai_api", "chat")]
        return plain(call, route) if call.mode == "invoke" else stream(call, route)


def _check_options(options: Mapping[str, Any]) -> None:
    for name in options:
        if name.startswith("openai") and name not in _OPTIONS:
            near = difflib.get_close_matches(name, _OPTIONS, n=1, cutoff=0)
            raise ConfigurationError(f"transport_options: unknown {name!r}; did you mean {near[0]!r}?")
    api = options.get("openai_api", "chat")
    if api not in ("chat", "responses"):
        raise ConfigurationError(
            f'transport_options: openai_api: expected "chat" or "responses", found {api!r}'
        )
    usage = options.get("openai_include_usage", True)
    if not isinstance(usage, bool):
        raise ConfigurationError(
            f"transport_options: openai_include_usage: expected true or false, found {usage!r}"
        )
