"""TLS that only OpenSSL's own server can speak: it changes keys in the middle of a stream."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
import threading
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from tests.interop.programs import PATIENCE, Port, find, needs, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.styles import Style

pytestmark = needs("openssl")

CHUNKS = ["a", "b", "c", "d"]
EVENTS = [
    *(f'event: chunk\ndata: {{"content": "{chunk}"}}\n\n' for chunk in CHUNKS),
    "event: done\ndata: {}\n\n",
]
LENGTH = len("".join(EVENTS))
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {LENGTH}\r\n\r\n"
SENT = ">>> TLS 1.3, Handshake [length 0005], KeyUpdate"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the authority, the server's certificate and its log are."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    return tmp_path


class Server:
    """``openssl s_server``: what is written to it goes to the client, but for lines that are orders."""

    def __init__(self, process: subprocess.Popen[str], port: Port, log: Path) -> None:
        self._process = process
        self._log = log
        self.url = f"https://127.0.0.1:{port.number}"

    def write(self, text: str) -> None:
        """Write something, which it reads at once."""
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    @property
    def printed(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace")

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until it has printed something so often."""
        wait_until(lambda: self.printed.count(text) >= times, f"{times} {text}")


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """A running one."""
    command = [find("openssl"), "s_server", "-tls1_3", "-msg", "-cert", folder / "server.pem", "-accept"]
    log = folder / "log"
    with Port() as port, log.open("w") as out, contextlib.ExitStack() as stack:
        process = subprocess.Popen(
            [*map(str, command), f"127.0.0.1:{port.number}"],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )
        stack.enter_context(process)
        stack.callback(process.kill)
        running = Server(process, port, log)
        running.wait_for("ACCEPT")
        yield running


@pytest.mark.parametrize("order", ["K", "k"], ids=["of both sides", "of the server"])
def test_keys_that_change_in_the_middle_of_a_stream(
    style: Style, server: Server, folder: Path, order: str
) -> None:
    """The connection is good for another run, whose request comes with the client's new keys."""
    read: Queue[str] = Queue()

    def answer() -> None:
        for run in range(2):
            server.wait_for('"q"', run + 1)
            server.write(HEAD)
            for number, event in enumerate(EVENTS):
                server.write(event)
                if event == EVENTS[-1]:
                    break
                assert read.get(timeout=PATIENCE) == CHUNKS[number]
                server.write(f"{order}\n")
                server.wait_for(SENT, run * len(CHUNKS) + number + 1)

    async def scenario() -> list[Any]:
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        client = style.client("a", base_url=server.url, ssl_context=context, max_retries=0, timeout=PATIENCE)
        chunks = []
        for _ in range(2):
            async for chunk in client.run_generic_stream("q"):
                chunks.append(chunk)  # one by one: the server waits for each
                read.put(chunk)
        return chunks

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        assert CHUNKS * 2 == style.run(scenario)
    finally:
        thread.join()
    assert (order == "K") == ("<<< TLS 1.3, Handshake [length 0005], KeyUpdate" in server.printed)
