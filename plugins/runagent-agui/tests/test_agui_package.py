"""The distribution, by the tests that every plugin's has to pass."""

from __future__ import annotations

from runagent_agui import AGUITransport

from tests.support.plugin_packages import PluginPackage


class TestPackage(PluginPackage):
    transport = AGUITransport
