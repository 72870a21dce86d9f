"""Whether an example of a page is a complete program, or continues the ones above it."""

from __future__ import annotations

import ast
import builtins
import symtable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CONTINUES", "late_imports", "missing_names"]

# The first line of an example that needs those above it.
CONTINUES = "# continues the examples above"
# The last one is in symbol tables of Python 3.14 and newer, for annotations under a condition.
_OF_THE_INTERPRETER = {"__file__", "__name__", "__conditional_annotations__"}


def missing_names(source: str) -> set[str]:
    """Return the global names that a program reads, also in its functions, but does not define or import."""
    top = symtable.symtable(source, "example", "exec")
    defined = {
        symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()
    }
    read = {
        symbol.get_name()
        for scope in _scopes(top)
        for symbol in scope.get_symbols()
        if symbol.is_referenced() and (scope is top or symbol.is_global())
    }
    return read - defined - set(dir(builtins)) - _OF_THE_INTERPRETER


def _scopes(scope: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield scope
    for child in scope.get_children():
        yield from _scopes(child)


def late_imports(source: str) -> set[str]:
    """Return the names that a statement of a program reads before another one imports them."""
    seen: set[str] = set()
    late: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            late |= seen & {alias.asname or alias.name for alias in node.names}
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            seen |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return late
