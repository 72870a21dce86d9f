"""Tests of the distribution of a plugin: what is shipped, and that the metadata matches the code."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from runagent.capabilities import parse_declaration
from tests.docs.pages import ROOT, Page
from tests.support.wheels import build_wheel, metadata

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Distribution", "PluginPackage", "links_of_the_package_page", "requirements"]


class Distribution:
    """The tests of any plugin; a subclass sets the name behind ``runagent-``.

    Attributes:
        name: The name of the distribution is ``runagent-NAME``, that of its package ``runagent_NAME``.
        requires: The distributions that the wheel depends on, in extras, too.
    """

    name: ClassVar[str]
    requires: ClassVar[frozenset[str]] = frozenset({"msgspec", "runagent"})

    @property
    def package(self) -> str:
        return f"runagent_{self.name}"

    @classmethod
    def project(cls) -> Path:
        return ROOT / "plugins" / f"runagent-{cls.name}"

    @pytest.fixture(scope="class")
    @classmethod
    def wheel(cls, tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
        return zipfile.Path(build_wheel(cls.project(), tmp_path_factory.mktemp("wheel")))

    def test_the_wheel_contains_the_package_and_its_licence(self, wheel: zipfile.Path) -> None:
        names = {name for name in wheel.root.namelist() if not name.endswith("/")}
        about = {name for name in names if name.startswith(f"{self.package}-")}
        modules = (self.project() / self.package).rglob("*.py")
        sources = {path.relative_to(self.project()).as_posix() for path in modules}
        assert sources | {f"{self.package}/py.typed"} == names - about
        (licence,) = (name for name in about if name.endswith("/licenses/LICENSE"))
        assert (ROOT / "LICENSE").read_bytes() == wheel.root.read(licence)

    def test_the_wheel_depends_on_nothing_else(self, wheel: zipfile.Path) -> None:
        assert self.requires == {line.partition(">")[0] for line in requirements(wheel)}

    def test_its_package_page_has_no_links_into_the_repository(
        self, wheel: zipfile.Path, tmp_path: Path
    ) -> None:
        assert [] == [target for target in links_of_the_package_page(wheel, tmp_path) if "://" not in target]

    def test_it_is_installed_in_its_version(self) -> None:
        assert "0.1.0" == version(f"runagent-{self.name}")


class PluginPackage(Distribution):
    """The same and more of a plugin with a transport, whose name is also that of the distribution.

    Attributes:
        transport: The class of the transport.
        unwanted: Modules that the transport must not import, besides those that no transport may.
    """

    transport: ClassVar[Any]
    unwanted: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        cls.name = cls.transport.name

    def test_the_metadata_matches_the_class(self) -> None:
        (entry,) = entry_points(group="runagent.capabilities", name=self.name)
        declared = parse_declaration(entry.value)
        assert declared is not None
        promised = (self.transport.api_version, self.transport.capabilities)
        assert promised == (declared.api_version, declared.capabilities)

    def test_nothing_of_it_is_imported_before_its_name_is_asked_for(self) -> None:
        unwanted = {"asyncio", "runagent_testing", "ssl", "trio"} | self.unwanted
        code = (
            "import sys, runagent; from runagent._plugins.registry import default_registry as r;"
            f"r().installed(); assert {self.package!r} not in sys.modules;"
            f"r().get({self.name!r}); assert {self.package!r} in sys.modules;"
            f"assert not {unwanted!r} & sys.modules.keys()"
        )
        subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def requirements(wheel: zipfile.Path) -> list[str]:
    """Return what a wheel requires, each with its bounds and its extra."""
    return metadata(wheel.root).get_all("Requires-Dist", [])


def links_of_the_package_page(wheel: zipfile.Path, folder: Path) -> list[str]:
    """Return the targets of the links that a package index shows, but those within the page."""
    page, text = Page(folder / "page.md"), metadata(wheel.root).get_payload()
    assert isinstance(text, str)
    page.path.write_text(text, encoding="utf-8")
    return [target for target in page.links() if not target.startswith("#")]
