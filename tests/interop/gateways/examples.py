"""The gateways of the docs, written into a folder and served by real servers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from tests.docs.pages import COOKBOOK, DOCS, ROOT
from tests.interop.programs import Port, Program, environment

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HEARTBEAT", "SERVERS", "WITH_WEBSOCKETS", "Gateway", "chat_page", "start", "write_examples"]

HEARTBEAT = 0.2  # seconds, in place of the default of `relay`

_FASTER = f"""
import runagent.relay
runagent.relay.relay.__kwdefaults__["heartbeat"] = {HEARTBEAT}
"""
_UVICORN = ("uvicorn", "MODULE:app", "--port", "PORT", "--lifespan", "off")
_HYPERCORN = ("hypercorn", "MODULE:app", "--bind", "127.0.0.1:PORT")
_TRIO = (*_HYPERCORN, "--worker-class", "trio")
_GUNICORN = ("gunicorn", "MODULE:app", "--bind", "127.0.0.1:PORT", "--threads", "8")
_WAITRESS = ("waitress", "--listen", "127.0.0.1:PORT", "--threads", "8", "MODULE:app")

# Server, framework: the module to run, and its arguments.
SERVERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("gunicorn", "flask"): _GUNICORN,
    ("waitress", "flask"): _WAITRESS,
    ("gunicorn", "django"): _GUNICORN,
    ("waitress", "django"): _WAITRESS,
    ("uvicorn", "django_asgi"): _UVICORN,
    ("hypercorn", "django_asgi"): _HYPERCORN,
    ("uvicorn", "starlette"): _UVICORN,
    ("hypercorn", "starlette"): _HYPERCORN,
    ("hypercorn on trio", "starlette"): _TRIO,
    ("uvicorn", "fastapi"): _UVICORN,
    ("hypercorn", "fastapi"): _HYPERCORN,
    ("hypercorn on trio", "fastapi"): _TRIO,
    ("uvicorn", "litestar"): _UVICORN,
    ("hypercorn", "litestar"): _HYPERCORN,
    ("uvicorn", "quart"): _UVICORN,
    ("hypercorn", "quart"): _HYPERCORN,
    ("uvicorn", "bare"): _UVICORN,
    ("uvicorn on h11", "bare"): (*_UVICORN, "--http", "h11", "--ws", "wsproto"),
    ("hypercorn", "bare"): _HYPERCORN,
    ("hypercorn on trio", "bare"): _TRIO,
    ("gunicorn", "wsgi"): _GUNICORN,
    ("waitress", "wsgi"): _WAITRESS,
    ("itself", "aiohttp"): ("gateway_aiohttp", "PORT"),
}
# The servers and frameworks whose example has a WebSocket.
WITH_WEBSOCKETS = [
    way for way in SERVERS if way[0] not in ("gunicorn", "waitress") and "django" not in way[1]
]


class Gateway(NamedTuple):
    """A gateway that runs."""

    server: str
    framework: str
    port: int
    url: str


def write_examples(folder: Path) -> list[str]:
    """Write each example into its file, and what shortens the heartbeats; return the examples' names."""
    names = []
    for text in re.findall(r"^```py\n(.*?)^```$", DOCS["gateways"].text, re.DOTALL | re.MULTILINE):
        file = re.match(r"# (gateway_(\w+)\.py): ", text)
        assert file is not None
        (folder / file[1]).write_text(text, encoding="utf-8")
        names.append(file[2])
    (folder / "sitecustomize.py").write_text(_FASTER, encoding="utf-8")
    return names


def start(server: str, framework: str, folder: Path, agents: str, port: Port) -> Program:
    """Return the program that serves an example, not started yet."""
    command = [part.replace("MODULE", f"gateway_{framework}") for part in SERVERS[server, framework]]
    return _program(command, folder, agents, port, f"{server} {framework}")


def chat_page(folder: Path, agents: str, port: Port) -> Program:
    """Write the page of docs/cookbook/chat-page.md and its gateway; return the program that serves them."""
    for name, beginning in (("chat.py", "# chat.py: "), ("chat.html", "<!doctype html>")):
        (folder / name).write_text(COOKBOOK["chat-page"].block(beginning), encoding="utf-8")
    return _program([part.replace("MODULE", "chat") for part in _UVICORN], folder, agents, port, "chat")


def _program(command: list[str], folder: Path, agents: str, port: Port, name: str) -> Program:
    module, *arguments = (part.replace("PORT", str(port.number)) for part in command)
    variables = {
        "PYTHONPATH": f"{folder}:{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "RUNAGENT_API_URL": agents,
        "RUNAGENT_MAX_RETRIES": "0",
        "RUNAGENT_TIMEOUT": "20",
    }
    log = folder / f"{name}.log".replace(" ", "-")
    return Program([environment("gateways"), "-m", module, *arguments], port, log, variables)
