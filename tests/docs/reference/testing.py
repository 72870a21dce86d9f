"""What tests can use: fixtures, options and markers of pytest, faults, and the kit's requirements."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Any

from runagent_testing import faults, pytest_plugin
from runagent_testing.conformance import all_requirements
from tests.docs.reference.docstrings import markdown, parse, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing.faults import Fault

__all__ = ["catalogue", "fixtures", "fixtures_page", "requirements"]

_TREE = ast.parse(inspect.getsource(pytest_plugin))


def fixtures() -> dict[str, tuple[str, str]]:
    """Return scope and docstring of each fixture of the plugin, in the order of the file."""
    return {
        function.name: (scope, ast.get_docstring(function) or "")
        for function in _TREE.body
        if isinstance(function, ast.FunctionDef) and function.name[0] != "_"
        for scope in _scopes(function)
    }


def _scopes(function: ast.FunctionDef) -> Iterator[str]:
    for decorator in function.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        if ast.unparse(call.func if call else decorator) == "pytest.fixture":
            given = {each.arg: ast.literal_eval(each.value) for each in (call.keywords if call else [])}
            yield given.get("scope", "function")


def _added(method: str) -> list[tuple[str, str]]:
    """Return name and help of each option (addoption) or key (addini) that the plugin adds."""
    found = []
    for node in ast.walk(_TREE):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(f".{method}"):
            given: dict[str, Any] = {each.arg or "": each.value for each in node.keywords}
            about = given["help"] if "help" in given else node.args[1]
            value = f" {ast.literal_eval(given['metavar'])}" if "metavar" in given else ""
            found.append((f"`{ast.literal_eval(node.args[0])}{value}`", ast.literal_eval(about)))
    return found


def fixtures_page() -> str:
    """Return the page of the plugin for pytest."""
    parts = [
        "# Fixtures, options and markers",
        "pytest finds them once the package is installed; [testing](../testing.md) shows their use.",
        "## Fixtures",
    ]
    for name, (scope, docstring) in fixtures().items():
        parts += [f"### {name}", f"Scope: {scope}.", markdown(docstring)]
    markers = [(f"`{text.partition(': ')[0]}`", text.partition(": ")[2]) for text in pytest_plugin._MARKERS]
    return "\n\n".join(
        [
            *parts,
            "## Options",
            table(("option", "does"), _added("addoption")),
            "## Keys of the configuration file",
            table(("key", "means"), _added("addini")),
            "## Markers",
            table(("marker", "lets"), markers),
        ]
    )


_FAULTS = """\
What `runagent_testing.faults` lists for each transport, on sockets.
[Testing](../testing.md#every-fault-enumerated) shows how a test meets each of them,
[faults in running tests](../chaos.md) how it meets one by chance.

A fault strikes at a position: `before-accept`, `before-answer` (the request was read), `in-head`,
`after-head`, `after-start` (the start event was sent), `after-event-N`, `in-event-N` (chunks are counted from
1), `before-end-marker` (all chunks were sent, the closing event was not), `after-done` (the closing event was
sent, the end of HTTP or the Close was not), or `throughout`. The id of a fault is its kind, `-` and its
position."""
_REQUIREMENTS = """\
What [the conformance kit](../kit.md) checks. `runagent-fake explain ID` prints the same, with a transport
that makes the mistake."""


def catalogue() -> str:
    """Return the page of faults: one row for each kind, with its positions."""
    parts = [
        "# Faults",
        _FAULTS,
    ]
    for transport in faults.TRANSPORTS:
        found = faults.for_transport(transport)
        parts += [
            f"## {transport}",
            f"{len(found)} faults.",
            table(("kind", "what happens", "positions", "a sound client shows"), _kinds(found)),
        ]
    return "\n\n".join(parts)


def _kinds(found: Any) -> list[tuple[str, ...]]:
    kinds: dict[str, list[Fault]] = {}
    for fault in found:
        kinds.setdefault(fault.kind, []).append(fault)
    rows: list[tuple[str, ...]] = []
    for kind, members in kinds.items():
        positions = dict.fromkeys(map(_position, members))
        shown = dict.fromkeys(word for f in members for word in (f.expected.error, *f.expected.accepted))
        about = dict.fromkeys(fault.description for fault in members)
        rows.append(
            (f"`{kind}`", "; ".join(about), ", ".join(f"`{each}`" for each in positions), ", ".join(shown))
        )
    return rows


def _position(fault: Fault) -> str:
    if fault.id == fault.kind:  # there is one position only
        return fault.position.name
    return fault.id.removeprefix(f"{fault.kind}-")


def requirements() -> str:
    """Return the page of the conformance kit's requirements."""
    parts = [
        "# Requirements of transports",
        _REQUIREMENTS,
    ]
    for requirement in all_requirements():
        about = [f"Set {requirement.since}", f"scope: {requirement.scope}", f"source: {requirement.source}"]
        if requirement.capability is not None:
            about.insert(
                1, f"{'unless' if requirement.undeclared else 'if'} `{requirement.capability}` is declared"
            )
        if requirement.libraries:
            about.insert(1, "for transports that are libraries")
        parts += [f"## {requirement.id}", f"**{requirement.sentence}**", "; ".join(about) + "."]
        parts.append(parse(inspect.getdoc(requirement.check)).text)
    return "\n\n".join(parts)
