"""The distribution, by the tests that every plugin's has to pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_openai import OpenAITransport

from tests.support.plugin_packages import PluginPackage, requirements

if TYPE_CHECKING:
    import zipfile


class TestPackage(PluginPackage):
    transport = OpenAITransport
    requires = frozenset({"msgspec", "openai", "runagent"})
    unwanted = frozenset({"openai"})

    def test_the_official_client_is_for_development(self, wheel: zipfile.Path) -> None:
        assert any(line.startswith("openai") and "extra == 'dev'" in line for line in requirements(wheel))
