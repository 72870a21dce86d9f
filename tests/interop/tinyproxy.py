"""A tinyproxy: CONNECT tunnels and requests in absolute form, with a password."""

from __future__ import annotations

from base64 import b64encode
from contextlib import closing
from http.client import HTTPConnection
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

    def answer_to(self, user: str, password: str) -> int:
        """Return the status with which it answers a user name and a password."""
        given = b64encode(f"{user}:{password}".encode()).decode()
        with closing(HTTPConnection("127.0.0.1", self.port.number, timeout=10)) as connection:
            headers = {"Proxy-Authorization": f"Basic {given}"}
            connection.request("GET", "http://127.0.0.1:1/", headers=headers)
            return connection.getresponse().status
