"""An nginx in front of a fake agent: one path prefix for each way of passing requests on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.interop.programs import Port, Program, find

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HTTP_LOCATIONS", "WEBSOCKET_LOCATIONS", "Nginx", "listen_with_tls"]

_KEPT = "proxy_http_version 1.1; proxy_set_header Connection '';"
_UPGRADE = (
    "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
)

# Prefix to directives. An nginx without directives buffers; before 1.29.7 it speaks HTTP/1.0 to the agent.
HTTP_LOCATIONS = {
    "1.0": "proxy_http_version 1.0;",
    "1.0-unbuffered": "proxy_http_version 1.0; proxy_buffering off;",
    "1.1": _KEPT,
    "1.1-unbuffered": _KEPT + "proxy_buffering off;",
    "1.1-gzip": _KEPT + "proxy_buffering off; gzip on; gzip_proxied any; gzip_min_length 0; gzip_types *;",
}
WEBSOCKET_LOCATIONS = {"upgrade": _UPGRADE}
_OTHERS = {
    "short-of-time": _UPGRADE + "proxy_read_timeout 400ms; proxy_buffering off;",
    "small": _KEPT + "client_max_body_size 1k;",
}

_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
{user}
events {{ worker_connections 512; }}
http {{
    log_format requests '$connection $server_port $uri';
    access_log {folder}/access.log requests;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_next_upstream off;
    upstream agent {{ server 127.0.0.1:{agent}; keepalive 8; }}
    upstream nobody {{ server 127.0.0.1:{nobody}; }}
    server {{
        listen 127.0.0.1:{port};
        location /nobody/ {{ {upgrade} proxy_pass http://nobody/; }}
        {locations}
    }}
    {servers}
}}
"""


class Nginx(Program):
    """nginx, with everything that it writes in one folder.

    Args:
        folder: An empty one.
        agent_url: The fake agent's address.
        port: Where it listens.
        nobody: A port that nobody listens on.
        servers: Further ``server`` blocks.
    """

    def __init__(self, folder: Path, agent_url: str, port: Port, nobody: Port, servers: str = "") -> None:
        self.folder = folder
        locations = HTTP_LOCATIONS | WEBSOCKET_LOCATIONS | _OTHERS
        text = _CONFIGURATION.format(
            folder=folder,
            # The workers of a root's nginx are nobody otherwise, who may not look into our folder.
            user="user root;" if os.geteuid() == 0 else "",
            agent=agent_url.rpartition(":")[2],
            nobody=nobody.number,
            port=port.number,
            upgrade=_UPGRADE,
            locations="\n        ".join(
                f"location /{prefix}/ {{ {directives} proxy_pass http://agent/; }}"
                for prefix, directives in locations.items()
            ),
            servers=servers,
        )
        (folder / "nginx.conf").write_text(text)
        files = ["-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"]
        super().__init__([find("nginx") or "nginx", *files], port, folder / "nginx.log")

    def requests(self, *, port: Port | None = None, agent_id: str = "") -> list[str]:
        """Return the numbers of the connections that requests came on, by the access log.

        It has a line when an answer is over, so the line of a test before may come late.

        Args:
            port: Only those to this port.
            agent_id: Only those for this agent.
        """
        lines = [line.split() for line in (self.folder / "access.log").read_text().splitlines()]
        return [
            connection
            for connection, at, path in lines
            if (port is None or at == str(port.number)) and f"/agents/{agent_id}" in path
        ]


def listen_with_tls(port: Port, certificate: Path) -> str:
    """Write a ``server`` block that ends TLS and passes on; the file has the key and the chain."""
    return f"""
    server {{
        listen 127.0.0.1:{port.number} ssl http2;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        location / {{ {_UPGRADE} proxy_buffering off; proxy_pass http://agent/; }}
    }}"""
