"""With which code the command ends."""

from __future__ import annotations

import runagent  # whose errors are loaded once there is one

__all__ = [
    "AGENT_FAILED",
    "GOOD",
    "INTERRUPTED",
    "NETWORK_FAILED",
    "NOBODY_READS",
    "WRONG_USAGE",
    "exit_code",
]

GOOD = 0
AGENT_FAILED = 1
WRONG_USAGE = 2
NETWORK_FAILED = 3
INTERRUPTED = 130  # 128 + SIGINT, as shells count
NOBODY_READS = 141  # 128 + SIGPIPE, what a program that ignores nothing would end with


def exit_code(error: runagent.RunAgentError) -> int:
    """Return the exit code for an error, which shows who has to act."""
    match error:
        case runagent.ConfigurationError() | runagent.PluginError():
            return WRONG_USAGE
        case runagent.TransportError() | runagent.RunTimeoutError():
            return NETWORK_FAILED
        case _:
            return AGENT_FAILED
