"""Errors in the command line's own words: options and variables in place of Python's arguments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runagent._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runagent._errors import RunAgentError

__all__ = ["describe"]

_Rule = tuple[str, "str | Callable[[re.Match[str]], str]"]

# Phrases of messages and hints of the library; a peer is not likely to write them.
_PHRASES: tuple[_Rule, ...] = (
    (r"timeout= or Timeouts\((\w+)=\.\.\.\)", "--timeout or --\\1-timeout"),
    (r"Timeouts\((\w+)=\.\.\.\)", "--\\1-timeout"),
    (r"--first_event-timeout", "--first-event-timeout"),
    (r"\(api_key=, RUNAGENT_API_KEY\)", "(RUNAGENT_API_KEY)"),
    (r"\bretry_unsafe=True\b", "--retry-unsafe"),
    (r"\bmax_(retries|resumes)=", "--max-\\1"),
    (r"\(proxy=\)", "(RUNAGENT_PROXY)"),
    (r"\bproxy= or the environment\b", "the configuration or the environment"),
    (r"\bssl_context= or SSL_CERT_FILE\b", "SSL_CERT_FILE"),
    (r"\bssl_context= decides what is accepted\b", "SSL_CERT_FILE names the authorities to accept"),
    (r"\bwhat ssl_context= offers\b", "what the client offers"),
    (r"\(client_cert=\)", "(the command line has no option for one)"),
    (r"\braise (max_\w+_bytes)\b", "raise \\1 in RUNAGENT_TRANSPORT_OPTIONS"),
    (r'"auto" tries them all', "--transport auto tries them all"),
    (r"\blocal=True\b", "--local"),
    (r"\bbase_url= nor\b", "--base-url nor"),
    (r"\(run_generic_stream\)", "(runagent stream)"),
)
# Names that a peer's text may hold as well.
_NAMES: tuple[_Rule, ...] = (
    (r"^argument (\w+): ", lambda found: f"--{found[1].replace('_', '-')}: "),
    (r"^agent_id\b", "AGENT_ID"),
    (r"^entrypoint_tag\b", "--entrypoint-tag"),
    (r"^headers\b", "--header"),
    (r"^host\b", "--host"),
    (r"\(use api_key\)", "(use RUNAGENT_API_KEY)"),
    (r"\bbase_url\b(?!'|: unknown key)", "--base-url"),  # not a name as the file has it
)


def describe(error: RunAgentError) -> str:
    """Return the message and the hint of an error, and the id of its request if there is one."""
    ours = isinstance(error, ConfigurationError)  # what a peer sent is in no such message
    text = _replace(error.message, (*_PHRASES, *_NAMES) if ours else _PHRASES) or type(error).__name__
    if error.hint:
        text += f" ({_replace(error.hint, (*_PHRASES, *_NAMES))})"
    return f"{text} (request {error.request_id})" if error.request_id else text


def _replace(text: str, rules: Iterable[_Rule]) -> str:
    for pattern, words in rules:
        text = re.sub(pattern, words, text)
    return text
