"""Distributions that bring plugins, installed as far as the import system can see."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["install", "transport_module"]

_TRANSPORT = """
from runagent import hookimpl
from runagent.transports._sse import SSETransport

class Plugged(SSETransport):
    name = {name!r}

@hookimpl
def runagent_register_transports(register):
    register(Plugged())
"""


def transport_module(name: str, before: str = "") -> str:
    """Write a module that offers a transport which works; ``before`` is run first."""
    return before + _TRANSPORT.format(name=name)


def install(
    site: Path,
    distribution: str,
    source: str,
    *,
    transports: tuple[str, ...] = (),
    observers: tuple[str, ...] = (),
    declares: str | None = None,
    version: str = "1.2",
    module: str | None = None,
    editable_from: Path | None = None,
) -> None:
    """Write a distribution of one module into ``site``.

    Args:
        site: A folder that is, or will be, on ``sys.path``.
        distribution: Its name.
        source: The module's text.
        transports: The names of the transports that its metadata lists.
        observers: The names of its entry points of the group ``runagent``.
        declares: What it declares of its transports, for example ``v1.invoke``.
        version: Its version.
        module: The module's name, if it is not the distribution's.
        editable_from: Where the module lies instead, as in an editable installation.
    """
    module = module or distribution.replace("-", "_")
    metadata = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    ((editable_from or site) / f"{module}.py").write_text(source)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    lines: list[str] = []
    for group, names, target in (
        ("runagent.transports", transports, module),
        ("runagent", observers, module),
        ("runagent.capabilities", transports if declares else (), f"runagent.capabilities:{declares}"),
    ):
        lines += [f"[{group}]", *(f"{name} = {target}" for name in names)] if names else []
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    if editable_from is not None:
        origin = {"url": editable_from.as_uri(), "dir_info": {"editable": True}}
        (metadata / "direct_url.json").write_text(json.dumps(origin))
