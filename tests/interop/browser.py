"""A browser without a window, and its tabs, which a test reads and types into over the debugging protocol."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import time
import urllib.request
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from websockets.sync.client import connect

from tests.interop.programs import Program, find

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.programs import Port

__all__ = ["BROWSERS", "Tab", "browser_on"]

BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")
PATIENCE = 20.0  # seconds
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowDown": 40}


def browser_on(port: Port, folder: Path) -> Program:
    """Return the browser, to be started; it resolves no names, and opens tabs through its debugging port."""
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP rebound.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={folder / 'profile'}",
        f"--remote-debugging-port={port.number}",
    ]
    return Program([find(*BROWSERS), *options], port, folder / "log", patience=60)


class Tab:
    """One page in the browser.

    Args:
        browser: The browser, running.
        url: What to open.
        patience: How long a page or a command may take, in seconds.
    """

    def __init__(self, browser: Program, url: str, *, patience: float = PATIENCE) -> None:
        self._browser = browser
        self._url = url
        self._patience = patience
        self._numbers = itertools.count(1)
        self._open = contextlib.ExitStack()
        self.logged: list[str] = []

    def __enter__(self) -> Self:
        tab = json.loads(self._request(f"new?{quote('about:blank', safe='')}", "PUT"))
        self._id = tab["id"]
        url, options = tab["webSocketDebuggerUrl"], {"max_size": None, "compression": None, "proxy": None}
        self._socket = self._open.enter_context(connect(url, **options))
        for domain in ("Page", "Runtime", "Log"):
            self.command(f"{domain}.enable")
        self.open(self._url)
        return self

    def __exit__(self, *details: object) -> None:
        self._open.close()
        self._request(f"close/{self._id}", "GET")

    def open(self, url: str) -> None:
        """Go to a URL, and wait until it is loaded."""
        self.command("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the debugging protocol, and return its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=self._patience))
            if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.logged.append(json.dumps(message["params"])[:2000])
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def value(self, expression: str) -> Any:
        """Return what an expression of JavaScript, or the promise that it gives, comes to."""
        options = {"awaitPromise": True, "returnByValue": True}
        result = self.command("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + self._patience
        while not self.value(f"Boolean({condition})"):
            assert time.monotonic() < until, (condition, self.value("document.body.innerText"), self.logged)
            time.sleep(0.02)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key, as a keyboard does."""
        code = _KEYS[key]
        text = {"Enter": "\r", " ": " "}.get(key, "")
        fields = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.command("Input.dispatchKeyEvent", type="keyDown", text=text, **fields)
        self.command("Input.dispatchKeyEvent", type="keyUp", **fields)

    def type(self, text: str) -> None:
        """Put text where the focus is."""
        self.command("Input.insertText", text=text)

    def emulate(self, width: int, height: int, *, scheme: str = "light") -> None:
        """Give the page, and those to come, this size in pixels, and a color scheme."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.command("Emulation.setEmulatedMedia", features=features)
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)

    def screenshot(self, path: Path, width: int, height: int, *, scheme: str = "light") -> None:
        """Write a picture of the page, in a color scheme."""
        self.emulate(width, height, scheme=scheme)
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"]))

    def _request(self, action: str, method: str) -> bytes:
        request = urllib.request.Request(f"{self._browser.url}/json/{action}", method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=self._patience) as answer:
            body: bytes = answer.read()
        return body
