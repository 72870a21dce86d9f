"""Starter packages for transports, as ``runagent-fake new-transport`` writes them."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from runagent._plugins.installed import TRANSPORTS, installed
from runagent._plugins.registry import BUILT_IN, has_other_meaning
from runagent._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["StarterError", "write_starter"]

_TEMPLATE = Path(__file__).with_name("template")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_RESERVED = frozenset(("testing", *BUILT_IN))


class StarterError(ValueError):
    """A starter package cannot be written; the text has the reason."""


def write_starter(name: str, parent: Path) -> Path:
    """Write a package that brings a transport.

    Args:
        name: The name that chooses the transport: lower-case letters, digits and single hyphens.
        parent: The folder in which to make ``runagent-<name>``.

    Returns:
        The new folder.

    Raises:
        StarterError: There is no such name, it is taken, or the folder exists.
        OSError: It cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise StarterError(f"{name!r} is no name: it has lower-case letters, digits and single hyphens")
    if name in _RESERVED or has_other_meaning(name):
        raise StarterError(f"the name {name!r} is taken")
    if takers := [plugin.source for plugin in installed().all_of(TRANSPORTS) if plugin.name == name]:
        raise StarterError(f"the name {name!r} is taken: {takers[0]} is installed")
    fields = {
        "name": name,
        "distribution": f"runagent-{name}",
        "package": f"runagent_{name.replace('-', '_')}",
        "class": "".join(part.capitalize() for part in name.split("-")),
        "version": __version__,
    }
    folder = parent / fields["distribution"]
    if folder.exists():
        raise StarterError(f"{folder} exists already")
    for path, text in _files(fields):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def _files(fields: dict[str, str]) -> Iterator[tuple[Path, str]]:
    for source in sorted(_TEMPLATE.rglob("*.txt")):
        path = source.relative_to(_TEMPLATE).with_suffix("")
        if path.parts[0] == "package":
            path = Path(fields["package"], *path.parts[1:])
        if path.name == "gitignore":
            path = path.with_name(".gitignore")
        yield path, Template(source.read_text(encoding="utf-8")).substitute(fields)
