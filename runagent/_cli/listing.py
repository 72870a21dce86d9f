"""``runagent transports``: what is installed, without importing any of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runagent._cli.console import in_columns
from runagent._plugins.installed import Installed
from runagent._plugins.registry import TransportRegistry

if TYPE_CHECKING:
    import argparse

    from runagent._cli.console import Console

__all__ = ["list_transports"]

_COLUMNS = ("NAME", "SOURCE", "VERSION", "API", "STATUS", "CAPABILITIES")


def list_transports(arguments: argparse.Namespace, console: Console) -> None:
    """Print every transport, what its metadata declares, and whether it can be chosen."""
    registry = TransportRegistry(Installed())
    rows: list[dict[str, Any]] = []
    for plugin in registry.installed():
        status, declared = registry.status(plugin), plugin.declaration
        rows.append(
            {
                # Where two distributions bring one name, only the longer one chooses between them.
                "name": plugin.qualified_name if status in ("clash", "reserved") else plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "api_version": None if declared is None else declared.api_version,
                "status": status,
                "capabilities": None if declared is None else sorted(declared.capabilities),
            }
        )
    if arguments.json:
        console.line(json.dumps(rows, ensure_ascii=False))
        return
    for line in in_columns([_COLUMNS, *(_cells(row) for row in rows)]):
        console.line(line)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    api_version, capabilities = row["api_version"], row["capabilities"]
    return (
        row["name"],
        row["distribution"],
        row["version"],
        "?" if api_version is None else str(api_version),
        row["status"],
        "?" if capabilities is None else " ".join(capabilities),
    )
