"""The reference of each promised module: a list of its names, and directives that show their docstrings."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import itertools
from typing import TYPE_CHECKING, Any

from tests.docs.reference.docstrings import first_sentence, parse, table
from tests.project.layers import PROMISED

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MODULES", "WHERE_TO_READ", "file_name", "inherited", "page"]

# The plugin of pytest has no names to import; its fixtures have a page.
MODULES = sorted(PROMISED - {"runagent_testing.pytest_plugin"})


_SHORT = 90  # characters
# For readers of the file; the site leaves it out.
WHERE_TO_READ = """\
This file lists every name. Arguments, attributes and errors of each are on the site, which `make docs` builds
into build/docs/site: it shows a docstring in the place of each line that begins with `:::`. In Python,
`help(name)` prints it."""


def file_name(module: str) -> str:
    return f"api-{module.replace('.', '-').replace('_', '-')}.md"


def page(module: str) -> str:
    """Return the page of a module."""
    face = importlib.import_module(module)
    rows = [
        (name, _kind(getattr(face, name)), _about(face, name)) for name in face.__all__ if name[:2] != "__"
    ]
    listed = [(f"`{name}`", kind, about) for name, kind, about in rows]
    parts = [f"# `{module}`", _introduction(face), WHERE_TO_READ, table(("name", "is", "about"), listed)]
    parts += [_directive(face, name) for name, kind, _ in rows if kind != "value"]
    return "\n\n".join(parts)


def _introduction(face: Any) -> str:
    """Return the paragraphs of the module's docstring, without its examples, which are indented."""
    paragraphs = parse(face.__doc__).text.split("\n\n")
    text = "\n\n".join(each for each in paragraphs if not each.startswith("    "))
    if face.__name__ == "runagent":
        text += " The arguments of the clients are among the [settings](settings.md)."
    return text


def _directive(face: Any, name: str) -> str:
    """Return what shows the docstring of a name, and of a class the members of its private bases."""
    directive = f"::: {face.__name__}.{name}"
    if members := inherited(getattr(face, name)):
        directive += f"\n    options:\n      inherited_members: [{', '.join(members)}]"
    return directive


def inherited(value: Any) -> list[str]:
    """Return the documented members that a class has of private bases: no other page shows them."""
    if not _is_class(value):
        return []
    bases = value.__mro__[1:]
    promised = [base for base in bases if base in _promised_classes()]
    private = [base for base in bases if base.__module__.startswith("runagent") and base not in promised]
    shown = {name for base in (value, *promised) for name in vars(base)}
    found = (name for base in private for name, member in vars(base).items() if _is_documented(name, member))
    return [name for name in dict.fromkeys(found) if name not in shown]


def _is_documented(name: str, member: Any) -> bool:
    is_member = inspect.isroutine(member) or isinstance(member, property | functools.cached_property)
    return is_member and bool(member.__doc__) and (name == "__init__" or name[0] != "_")


@functools.cache
def _promised_classes() -> frozenset[type]:
    faces = [importlib.import_module(module) for module in MODULES]
    return frozenset(filter(_is_class, (getattr(face, name) for face in faces for name in face.__all__)))


def _kind(value: Any) -> str:
    if _is_class(value):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if inspect.isroutine(value) else "value"


def _is_class(value: Any) -> bool:
    """Whether it is a class; those of `typing` are classes in some versions of Python only."""
    return inspect.isclass(value) and value.__module__ != "typing"


def _about(face: Any, name: str) -> str:
    value = getattr(face, name)
    if _is_class(value) or inspect.isroutine(value):
        return first_sentence(value.__doc__)
    expression, docstring = _assignment(face.__name__, name)
    return f"{_shown(expression, value)} {first_sentence(docstring)}".strip()


def _shown(expression: str, value: Any) -> str:
    """Return the value as the code has it, if that is short."""
    text = expression or repr(value)
    return f"`{text}`." if len(text) <= _SHORT else f"A `{type(value).__name__}`."


def _assignment(module: str, name: str) -> tuple[str, str]:
    """Return the expression that is assigned to a name, and the text below it, of the module that defines it.

    The source shows where that is, not the value: there are two if a test has imported a module again.
    """
    statements = list(_statements(ast.parse(inspect.getsource(importlib.import_module(module))).body))
    for node, after in statements:
        if name in _assigned(node):
            return _expression(node), _docstring(after)
    for node, _ in statements:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("runagent"):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return _assignment(node.module, alias.name)
    return "", ""


def _statements(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, ast.stmt | None]]:
    """Give each statement of a module with the one below it, and of a condition what type checkers see."""
    for node, after in itertools.zip_longest(body, body[1:]):
        yield node, after
        if isinstance(node, ast.If):
            yield from _statements(node.body)


def _assigned(node: ast.stmt) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {
        each.id for target in targets if target for each in ast.walk(target) if isinstance(each, ast.Name)
    }


def _expression(node: Any) -> str:
    """Return what is assigned, unless it is one of several values."""
    unpacked = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)
    return "" if unpacked else ast.unparse(node.value)


def _docstring(node: ast.stmt | None) -> str:
    value = node.value if isinstance(node, ast.Expr) else None
    return str(value.value) if isinstance(value, ast.Constant) else ""
