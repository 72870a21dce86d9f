"""What installed distributions bring, read from their metadata: nothing of it is imported.

The metadata is read once in a process. The working directory, which Python puts first on ``sys.path``
for ``python -c``, ``python -m`` and the prompt, is left out, unless it is on the path for another reason:
a folder that happens to be the current one has not been installed.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import TYPE_CHECKING

import msgspec

from runagent._internal.foreign import is_passing
from runagent._internal.locks import ForkSafeLock
from runagent.capabilities import parse_declaration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from importlib.metadata import Distribution, EntryPoint

    from runagent.capabilities import Declaration

__all__ = [
    "OBSERVERS",
    "TRANSPORTS",
    "Installed",
    "Plugin",
    "imports_from_working_directory",
    "in_working_directory",
    "installed",
    "normal_name",
    "search_path",
]

TRANSPORTS = "runagent.transports"
OBSERVERS = "runagent"
_DECLARATIONS = "runagent.capabilities"
_GROUPS = (TRANSPORTS, OBSERVERS, _DECLARATIONS)
_SECTIONS = {group: f"[{group}]".encode() for group in _GROUPS}  # how entry_points.txt heads them


class Plugin(msgspec.Struct, frozen=True):
    """An entry point for runagent in an installed distribution.

    Attributes:
        group: ``runagent.transports``, or ``runagent`` for an observer.
        name: The entry point's name; a transport's is the name that chooses it in the configuration.
        distribution: The installed distribution that brings it, normalised (PEP 503).
        version: That distribution's version.
        target: The module, or the object in it, that implements our hooks.
        declaration: What the metadata declares of a transport, if anything.
        entry: The entry point itself.
    """

    group: str
    name: str
    distribution: str
    version: str
    target: str
    declaration: Declaration | None = None
    entry: EntryPoint | None = None

    @property
    def qualified_name(self) -> str:
        """``distribution:name``, which distinguishes two of one name."""
        return f"{self.distribution}:{self.name}"

    @property
    def source(self) -> str:
        """The distribution and its version."""
        return f"{self.distribution} {self.version}"


class Installed:
    """The plugins that are installed, and which of them are switched off. Safe for threads.

    Args:
        environ: ``RUNAGENT_DISABLE_PLUGINS`` names distributions and entry points with commas, or ``all``;
            ``RUNAGENT_STRICT_PLUGINS`` is 1 if a plugin that does not work is an error at once.
        path: Where distributions are looked for; by default ``sys.path`` at the first look.
    """

    def __init__(self, environ: Mapping[str, str] | None = None, path: list[str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        names = environ.get("RUNAGENT_DISABLE_PLUGINS", "").split(",")
        self._disabled = {normal_name(name) for name in names if name.strip()}
        self.strict = environ.get("RUNAGENT_STRICT_PLUGINS", "").strip() not in ("", "0")
        self._path = path
        self._lock = ForkSafeLock()
        self._places: Mapping[str, frozenset[str]] | None = None
        self._looked = False
        self._found: list[Plugin] | None = None

    def all_of(self, group: str) -> list[Plugin]:
        """Return all plugins of a group, those that are switched off included; one installed twice, once."""
        with self._lock:
            if not self._looked:
                self._path = search_path() if self._path is None else self._path
                self._places = _look(self._path)
                self._looked = True
            if self._places is not None and group not in frozenset().union(*self._places.values()):
                return []
            if self._found is None:
                self._found = list(_scan(self._path or [], self._places))
            return [plugin for plugin in self._found if plugin.group == group]

    def enabled(self, group: str) -> list[Plugin]:
        """Return the plugins of a group that are not switched off."""
        if "all" in self._disabled:
            return []
        return [plugin for plugin in self.all_of(group) if not self.is_disabled(plugin)]

    def is_disabled(self, plugin: Plugin) -> bool:
        """Whether ``RUNAGENT_DISABLE_PLUGINS`` names it."""
        names = {"all", plugin.distribution, normal_name(plugin.name), normal_name(plugin.qualified_name)}
        return bool(names & self._disabled)


def search_path() -> list[str]:
    """Return ``sys.path`` without the working directory, if only Python's default has put it there."""
    first, rest = sys.path[:1], sys.path[1:]
    return rest if first and _is_working_directory(first[0]) else [*first, *rest]


def imports_from_working_directory() -> bool:
    """Whether modules there can be imported for no other reason than Python's habit."""
    rest = search_path()
    return len(rest) < len(sys.path) and not any(map(_is_working_directory, rest))


def in_working_directory(file: str) -> bool:
    """Whether a file or folder lies directly in the working directory."""
    return _is_working_directory(os.path.dirname(file))  # noqa: PTH120  # as below


def _is_working_directory(entry: str) -> bool:
    try:
        return entry in ("", ".") or os.path.samefile(entry, os.curdir)  # noqa: PTH121  # pathlib is slow to import
    except OSError:
        return False


def _scan(path: list[str], places: Iterable[str] | None) -> Iterator[Plugin]:
    from importlib.metadata import Distribution, distributions  # slow to import

    found = distributions(path=path) if places is None else map(Distribution.at, places)
    seen: set[str] = set()
    for distribution in found:
        if not _groups_in((distribution.read_text("entry_points.txt") or "").encode()):
            continue
        about = distribution.metadata  # each look at it parses the whole of it
        # The first one on the path is the one that an import finds.
        name = normal_name(about["Name"] or "unknown")
        if name not in seen:
            seen.add(name)
            yield from _plugins_of(distribution, name, about["Version"] or "unknown")


def _plugins_of(distribution: Distribution, name: str, version: str) -> Iterator[Plugin]:
    entries = {
        (entry.group, entry.name): entry for entry in distribution.entry_points if entry.group in _GROUPS
    }
    for (group, entry_name), entry in entries.items():
        if group == _DECLARATIONS:
            continue
        declared = entries.get((_DECLARATIONS, entry_name)) if group == TRANSPORTS else None
        declaration = None if declared is None else parse_declaration(declared.value)
        yield Plugin(group, entry_name, name, version, entry.value, declaration, entry)


def _look(path: list[str]) -> dict[str, frozenset[str]] | None:
    """Look quickly which metadata may have which of our groups: mostly none, and nothing more is imported.

    Returns:
        The groups by the metadata's folder; None unless all metadata lies in folders.
    """
    # First: without a free descriptor this raises; importlib.metadata finds nothing then, and remembers it.
    found = (found for folder in path for found in _entry_points_in(folder or os.curdir))
    places = {place: groups for place, text in found if (groups := _groups_in(text))}
    return None if any(map(_looks_elsewhere, sys.meta_path)) or any(map(_is_archive, path)) else places


def _looks_elsewhere(finder: object) -> bool:
    """Whether a finder may find distributions that are not in the folders of the path."""
    name = getattr(finder, "__name__", type(finder).__name__)
    # Python's own is a class; that of the backport importlib_metadata, an object, looks in the same folders.
    return name not in ("PathFinder", "MetadataPathFinder") and hasattr(finder, "find_distributions")


def _groups_in(text: bytes) -> frozenset[str]:
    return frozenset(group for group, section in _SECTIONS.items() if section in text)


def _is_archive(entry: str) -> bool:
    return os.path.isfile(entry)  # noqa: PTH113  # a path has many entries, and Path objects cost more


def _entry_points_in(folder: str) -> Iterator[tuple[str, bytes]]:
    with _what_is_there(), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((".dist-info", ".egg-info", "EGG-INFO")):
                with (
                    _what_is_there(),
                    open(f"{entry.path}/entry_points.txt", "rb") as file,  # noqa: PTH123  # as above
                ):
                    yield entry.path, file.read()


@contextlib.contextmanager
def _what_is_there() -> Iterator[None]:
    """Skip what cannot be read; without a free descriptor, for example, nothing is known about it."""
    try:
        yield
    except OSError as exc:
        if is_passing(exc):
            raise


def normal_name(name: str) -> str:
    """Normalise a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


_installed: Installed | None = None
_installed_lock = ForkSafeLock()


def installed() -> Installed:
    """Return what the whole process shares; the environment is read at the first look."""
    global _installed
    with _installed_lock:
        if _installed is None:
            _installed = Installed()
        return _installed
