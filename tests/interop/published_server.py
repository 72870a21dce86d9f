"""Serve an agent with the published ``runagent`` package; run by an environment that has it.

    python published_server.py FOLDER PORT

serves the agent whose ``runagent.config.json`` is in FOLDER. Whatever is not loopback is refused.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from published_client import only_loopback  # type: ignore[import-not-found]  # it is next to this file


def main(folder: str, port: str) -> None:
    """Serve until killed."""
    from runagent.sdk.db import DBService  # type: ignore[import-not-found, unused-ignore]
    from runagent.sdk.server.local_server import LocalServer  # type: ignore[import-not-found, unused-ignore]

    address: dict[str, Any] = {"host": "127.0.0.1", "port": int(port)}
    LocalServer(DBService(), agent_id="writer", agent_path=Path(folder), **address).start()


if __name__ == "__main__":
    sys.addaudithook(only_loopback)
    main(*sys.argv[1:])
