"""Importing a plugin: the one place in which its code gets to run for the first time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from runagent._errors import PluginError
from runagent._internal import clock
from runagent._internal.locks import ForkSafeLock
from runagent._plugins.installed import Plugin, imports_from_working_directory, in_working_directory

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Loader", "load"]


def load(plugin: Plugin) -> Any:
    """Import what a plugin's entry point refers to.

    Raises:
        PluginError: A file in the working directory would be imported in its place.
        Exception: Whatever the import raises.
    """
    entry = plugin.entry
    assert entry is not None
    module = entry.module.partition(".")[0]
    if (place := _shadow(module)) is not None and not _is_at_home(plugin, place):
        raise PluginError(
            f"{plugin.source} would be imported from the working directory: {place} hides the installed"
            f" module {module!r}; rename it, or run Python with -P",
            plugin=plugin.qualified_name,
        )
    return entry.load()


def _shadow(module: str) -> str | None:
    """Return what would be imported from the working directory only because Python puts that first."""
    if module in sys.modules or not imports_from_working_directory():
        return None
    from importlib.util import find_spec

    spec = find_spec(module)
    places = [] if spec is None else [*(spec.submodule_search_locations or [spec.origin or ""])]
    return next((place for place in places if in_working_directory(place)), None)


def _is_at_home(plugin: Plugin, place: str) -> bool:
    """Whether the working directory is where the distribution has been installed from, as editable."""
    import json
    from pathlib import Path
    from urllib.parse import unquote, urlsplit

    distribution = plugin.entry.dist if plugin.entry is not None else None
    text = distribution.read_text("direct_url.json") if distribution is not None else None
    origin = json.loads(text) if text else {}
    if not origin.get("dir_info", {}).get("editable"):
        return False
    home = Path(unquote(urlsplit(origin["url"]).path))
    return Path(place).resolve().is_relative_to(home.resolve())


class Loader:
    """Loads each plugin once, no matter who asks first; a slow one keeps only those waiting who want it.

    Attributes:
        seconds: How long each import took, by the plugin's qualified name.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = ForkSafeLock()
        self._locks: dict[str, ForkSafeLock] = {}
        self._results: dict[str, Any] = {}

    def once(self, key: str, work: Callable[[], Any]) -> Any:
        """Return what ``work`` returned for this key, at its first call.

        Raises:
            PluginError: It raised this, now or before. Nothing else that it raises is kept.
        """
        with self._lock:
            lock = self._locks.setdefault(key, ForkSafeLock())
        with lock:
            if key not in self._results:
                begin = clock.now()
                try:
                    self._results[key] = work()
                except PluginError as exc:
                    self._results[key] = exc
                self.seconds[key] = clock.now() - begin
            result = self._results[key]
        if isinstance(result, PluginError):
            error = PluginError(result.message, code=result.code, plugin=result.plugin)
            raise error from result.__cause__
        return result
