"""Plugins are tested with the fixtures of the project."""

from tests.conftest import no_home, own_clients, own_configuration, server, style
from tests.support.a2a import a2a_client, memory, run_a2a, spoken

__all__ = [
    "a2a_client",
    "memory",
    "no_home",
    "own_clients",
    "own_configuration",
    "run_a2a",
    "server",
    "spoken",
    "style",
]
