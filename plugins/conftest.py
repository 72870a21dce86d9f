"""Plugins are tested with the fixtures of the project."""

from tests.conftest import own_configuration, server, style

__all__ = ["own_configuration", "server", "style"]
