"""The protocols of the plugins, and their official clients, which are programs in separate environments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.programs import NODE_PACKAGES, environment, find

HERE = Path(__file__).parent
AGENT = "writer"


@dataclass(frozen=True)
class Protocol:
    """A protocol of a plugin, and its official client.

    Attributes:
        name: Its name here, which the programs in clients.py and clients.mjs know, too.
        transport: Its transport.
        client: The package of the official client.
        environment: The environment of the client, "node" for packages in JavaScript; "" for the tests' own.
        path: Where its agents are, behind the server's URL.
        options: ``transport_options``.
        surface: Its name in the catalogue of faults, if that is not the transport's.
    """

    name: str
    transport: str
    client: str
    environment: str = ""
    path: str = ""
    options: tuple[tuple[str, str], ...] = ()
    surface: str = ""

    def command(self, url: str, times: int) -> list[str]:
        """Return the command that has the official client read a stream so many times."""
        arguments = [self.name, url, str(times)]
        if self.environment == "node":
            return [find("node") or "node", str(HERE / "clients.mjs"), *arguments]
        interpreter = environment(self.environment) if self.environment else sys.executable
        return [str(interpreter), str(HERE / "clients.py"), *arguments]


def _openai(api: str) -> Protocol:
    return Protocol(
        f"openai-{api}", "openai", "openai", options=(("openai_api", api),), surface=f"openai-{api}"
    )


def _a2a(name: str, *options: tuple[str, str]) -> Protocol:
    return Protocol(name, "a2a", "a2a-sdk", "a2a", path=f"/a2a/{AGENT}", options=options, surface=name)


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        _openai("chat"),
        _openai("responses"),
        Protocol("agui", "agui", "@ag-ui/client", "node", path=f"/agui/{AGENT}"),
        _a2a("a2a-jsonrpc"),
        _a2a("a2a-http-json", ("a2a_binding", "HTTP+JSON")),
        _a2a("a2a-jsonrpc-0.3", ("a2a_version", "0.3")),
        Protocol("anthropic", "anthropic", "anthropic", "anthropic"),
        Protocol("langgraph", "langgraph", "langgraph-sdk", "langgraph"),
        Protocol("ollama", "ollama", "ollama", "ollama", surface="ollama-chat"),
        Protocol("gemini", "gemini", "google-genai", "gemini"),
        Protocol("vercel", "vercel", "ai (AI SDK)", "node", path=f"/vercel/{AGENT}"),
    )
}


def ask(protocol: Protocol, url: str, times: int = 1) -> dict[str, Any]:
    """Have the official client read a stream so many times, and return what it has reported."""
    done = subprocess.run(
        protocol.command(url, times),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "NODE_PACKAGES": str(NODE_PACKAGES / "node_modules"),
        },
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report
