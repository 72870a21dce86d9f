"""The layers of the code, from top to bottom, and who imports what.

A row is a folder, or a module that is alone in its package; the longest name that fits counts. A module
imports only from rows below its own, and from its own without a circle. docs/architecture.md shows this list;
``python -m tests.project.layers --write`` brings the page up to date.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "LAYERS",
    "PROMISED",
    "ROOT",
    "drawing",
    "faults",
    "import_graph",
    "imported_names",
    "module_name",
    "promised",
    "row_of",
    "with_blocks",
]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/architecture.md"

LAYERS = {
    "runagent_ray": "a plugin: an agent over the rows of a dataset, in Ray Data",
    "runagent_locust": "a plugin: load tests of agents with Locust",
    "runagent_a2a.testing": "a plugin's dialect for the fake agent",
    "runagent_a2a": "a plugin: agents that speak A2A",
    "runagent_agui.testing": "a plugin's dialect for the fake agent",
    "runagent_agui": "a plugin: agents that speak AG-UI",
    "runagent_langgraph.testing": "a plugin's dialect for the fake agent",
    "runagent_langgraph": "a plugin: graphs on a LangGraph server",
    "runagent_anthropic.testing": "a plugin's dialect for the fake agent",
    "runagent_anthropic": "a plugin: agents behind the Anthropic Messages API",
    "runagent_ollama.testing": "a plugin's dialect for the fake agent",
    "runagent_ollama": "a plugin: models behind Ollama",
    "runagent_gemini.testing": "a plugin's dialect for the fake agent",
    "runagent_gemini": "a plugin: models behind Google's Gemini API",
    "runagent_otel": "a plugin: an observer that makes spans and metrics for OpenTelemetry",
    "runagent_openai.testing": "a plugin's dialect for the fake agent",
    "runagent_openai": "a plugin: agents behind OpenAI-compatible endpoints",
    "runagent_vercel.testing": "a plugin's dialect for the fake agent",
    "runagent_vercel": "a plugin: agents behind the UI message stream of the AI SDK",
    "runagent_testing.pytest_plugin": "pytest fixtures",
    "runagent_testing._pytest_faults": "faults in tests: the marker, and chance",
    "runagent_testing._pytest_reports": "what reports of failed tests show, and the files that are kept",
    "runagent_testing.__main__": "python -m runagent_testing",
    "runagent.__main__": "python -m runagent",
    "runagent._cli": "the command runagent",
    "runagent_testing": "the names for tests",
    "runagent_testing._standalone": "the fake agent as a program, and script files",
    "runagent_testing._starter": "the template of a transport's package",
    "runagent_testing.conformance": "the conformance kit for transports",
    "runagent_testing.conformance._checks": "the requirements of the kit",
    "runagent_testing.conformance._harness": "the parts of checks: sessions fed by hand, runs on a stage",
    "runagent_testing.conformance._broken": "transports that the kit has to fail",
    "runagent_testing._server": "plays plans on real sockets",
    "runagent_testing._remote": "a server in another process, with the methods of one in this process",
    "runagent_testing._control": "the control API, which steers a server over HTTP",
    "runagent_testing._standalone.script_file": "script files",
    "runagent_testing._standalone.agents": "what a script file has for one agent",
    "runagent_testing._standalone.conditions": "conditions of rules, and limits, in a script file",
    "runagent_testing._standalone.calls": "what a script file holds, as calls of agents and rules",
    "runagent_testing._standalone.local_keys": "what only a script file of this machine may name",
    "runagent_testing._standalone.serialize": "scripts in the form of script files",
    "runagent_testing._standalone.forms": "what may be written in a script file",
    "runagent_testing._standalone.document": "YAML and JSON with the places of their values",
    "runagent_testing._timeline": "recordings and saved journals, drawn on an axis of time",
    "runagent_testing._standalone.understood": "what a client understands of a recording",
    "runagent_testing._recorder": "networks that record what a client's own network carries",
    "runagent_testing._memory": "plays the same plans on virtual time",
    "runagent_testing._host": "agents, and the choice of the plan that answers a request",
    "runagent_testing.faults": "the catalogue of faults, each at every place of a stream",
    "runagent_testing._journal": "the record of requests and their answers",
    "runagent_testing._render": "turns a script into a plan: bytes, waits, an end",
    "runagent_testing._forwarding": "real services to which requests are passed on",
    "runagent_testing._recording": "recordings of exchanges: their files, and scripts made of them",
    "runagent_testing.dialects": "the formats of protocols, for the fake agent",
    "runagent_testing._script": "scripts and their steps",
    "runagent_testing._internal": "redaction, the log, files, the real clock",
    "runagent": "the names for users",
    "runagent.relay": "the answer to a browser from the stream of a run",
    "runagent._client": "turns arguments and settings into a run",
    "runagent._run": "attempts, limits, the end; the two loops that move bytes; streams",
    "runagent._plugins": "installed plugins, transports by name, observers",
    "runagent._bridge": "asynchronous libraries as transports",
    "runagent.transports": "requests, messages and refusals of agents: bytes in, events out",
    "runagent._net": "connections, TLS, pools, the three networks",
    "runagent._wire": "SSE, NDJSON, HTTP/1.1, WebSocket, gzip",
    "runagent._config": "settings and where they come from",
    "runagent.capabilities": "the declared capabilities of a transport",
    "runagent._handle": "the handle of a run, for another process",
    "runagent._call": "the call that a run makes of an agent",
    "runagent._address": "URLs, proxies, the route to an agent",
    "runagent._events": "the events of a run",
    "runagent._limits": "the limits of what a peer may send",
    "runagent._internal": "locks, lazy imports, the clock, signals",
    "runagent._errors": "errors",
    "runagent._report": "the report of a run, and the base of its errors",
    "runagent._redact": "redaction of secrets and of a peer's text",
    "runagent._cutting": "the sizes of texts and values, and an error's limits",
    "runagent._public": "classes by their public module",
    "runagent._version": "the version",
}

# Everything else has an underscore in its name and may change at any time.
PROMISED = {
    "runagent",
    "runagent.capabilities",
    "runagent.relay",
    "runagent.transports",
    "runagent_testing",
    "runagent_testing.conformance",
    "runagent_testing.dialects",
    "runagent_testing.faults",
    "runagent_testing.pytest_plugin",
}

_FOLDERS = ("runagent", "runagent_testing", *(str(path) for path in ROOT.glob("plugins/*/runagent_*")))


def module_name(path: Path) -> str:
    """Return the dotted name of a file of a package."""
    parts = path.with_suffix("").parts
    first = next(at for at, part in enumerate(parts) if part.startswith("runagent") and "-" not in part)
    names = parts[first:]
    while names[0] == "runagent" and len(names) > 1 and names[1].startswith("runagent"):
        names = names[1:]
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def imported_names(source: str, module: str, *, is_package: bool = False) -> set[str]:
    """Return every dotted name that import statements mention, those of type checkers included."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                parents = package[: len(package) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def import_graph() -> dict[str, set[str]]:
    """Return which modules of the packages and plugins each of them imports."""
    sources = {module_name(path): path for folder in _FOLDERS for path in (ROOT / folder).rglob("*.py")}
    graph = {}
    for name, path in sources.items():
        names = imported_names(path.read_text(encoding="utf-8"), name, is_package=path.name == "__init__.py")
        modules = {_module_of(imported, sources) for imported in names} - {name, ""}
        graph[name] = modules
    return graph


def _module_of(name: str, modules: Mapping[str, object]) -> str:
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def row_of(module: str) -> str:
    """Return the row of a module, "" if it has none; a package's own row holds its ``__init__`` alone."""
    name = module
    while name and name not in LAYERS:
        name = name.rpartition(".")[0]
    return "" if name in ("runagent", "runagent_testing") and name != module else name


def faults(graph: Mapping[str, set[str]]) -> list[str]:
    """Return what is wrong with these imports: rows that are missing, arrows that point up, circles."""
    order = {row: place for place, row in enumerate(LAYERS)}
    found = [f"{module} is in no row" for module in graph if not row_of(module)]
    arrows = ((module, other) for module, imported in graph.items() for other in sorted(imported))
    found += [
        f"{module} imports {other}, which is above it"
        for module, other in arrows
        if row_of(module) and row_of(other) and order[row_of(other)] < order[row_of(module)]
    ]
    return found + [f"a circle of imports: {' -> '.join(circle)}" for circle in _circles(graph)]


def _circles(graph: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """Yield each circle once, by its first module, along the shortest way back."""
    done: set[str] = set()
    for start in sorted(graph):
        ways = [[start]]
        seen: set[str] = set()
        while ways:
            way = ways.pop(0)
            for other in sorted(graph.get(way[-1], set()) - done):
                if other == start:
                    yield [*way, start]
                    ways, seen = [], set(graph)
                    break
                if other not in seen:
                    seen.add(other)
                    ways.append([*way, other])
        done.add(start)


def drawing() -> str:
    """Return the list as docs/architecture.md shows it."""
    return _table(LAYERS)


def promised() -> str:
    """Return the promised modules as docs/architecture.md shows them."""
    return _table({row: about for row, about in LAYERS.items() if row in PROMISED})


def _table(rows: Mapping[str, str]) -> str:
    width = max(map(len, rows))
    return "\n".join(f"{row:<{width}}  {about}" for row, about in rows.items())


def with_blocks(page: str) -> str:
    """Return the page with both lists as they are now, each in the code block between its markers."""
    for name, text in (("layers", drawing()), ("promised", promised())):
        before, start, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->\n")
        if not (start and end):
            raise ValueError(f"the page has no markers for {name!r}")
        page = f"{before}{start}```\n{text}\n```\n{end}{after}"
    return page


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.project.layers --write")
    PAGE.write_text(with_blocks(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
