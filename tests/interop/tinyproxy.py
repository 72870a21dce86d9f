"""A tinyproxy: CONNECT tunnels and requests in absolute form, with a password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.interop.programs import Port, Program, find

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PASSWORD", "USER", "Tinyproxy"]

USER, PASSWORD = "dora", "s3cr-t.w_rd"  # tinyproxy takes no others than letters, digits and these three signs
_CONFIGURATION = """
Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 100
LogLevel Info
BasicAuth {user} {password}
ConnectPort {allowed}
"""


class Tinyproxy(Program):
    """tinyproxy, which opens tunnels to the allowed port only."""

    def __init__(self, folder: Path, port: Port, allowed: int) -> None:
        configuration = folder / "tinyproxy.conf"
        configuration.write_text(
            _CONFIGURATION.format(port=port.number, user=USER, password=PASSWORD, allowed=allowed)
        )
        command = [find("tinyproxy") or "tinyproxy", "-d", "-c", configuration]
        super().__init__(command, port, folder / "tinyproxy.log")

    def asked(self) -> list[str]:
        """Return the request lines that it has logged."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line.partition("): ")[2] for line in lines if " Request (file descriptor " in line]
