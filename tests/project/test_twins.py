"""`Pump` and `AsyncPump` are one loop in two styles: their code differs only in how it waits."""

from __future__ import annotations

import ast
import inspect
import textwrap

import pytest

from runagent._run.async_pump import AsyncPump
from runagent._run.pump import Pump

# An event loop can change, a cancellation can come in any wait, and a pool there knows of what is in use.
DIFFERENT = {
    "wait",
    "__init__",
    "close",
    "for_run",
    "next_batch",
    "_take_turn",
    "_back_off",
    "_connect",
    "_acquire",
    "_flush",
    "_release",
    "_leave",
}


class _WithoutWaits(ast.NodeTransformer):
    """Turns an asynchronous method into what the synchronous one would be."""

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        plain = ast.FunctionDef(**dict(ast.iter_fields(node)))  # which fields there are depends on the Python
        visited: ast.AST = self.generic_visit(plain)
        return visited

    def visit_Await(self, node: ast.Await) -> ast.AST:
        visited: ast.AST = self.visit(node.value)
        return visited

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        named = isinstance(node.value, str) and node.value == "AsyncConnection"
        return ast.Constant("Connection") if named else node


def methods(cls: type) -> dict[str, ast.AST]:
    """Return the methods that a class itself defines, as syntax trees."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(tree, ast.ClassDef)
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def without_waits(method: ast.AST) -> str:
    """Write a method without what makes it asynchronous."""
    return ast.dump(_WithoutWaits().visit(method))


SYNC, ASYNC = methods(Pump), methods(AsyncPump)
BOTH = sorted(SYNC.keys() & ASYNC.keys())


def test_both_pumps_have_the_same_methods() -> None:
    assert {"checkpoint", "is_elsewhere", "_take_key", "_network"} == SYNC.keys() ^ ASYNC.keys()


# The first two get other pools; the last one a sink, which spares a coroutine for each read.
@pytest.mark.parametrize("name", sorted({*BOTH} - {"__init__", "_acquire", "next_batch"}))
def test_both_pumps_take_the_same_arguments(name: str) -> None:
    assert inspect.signature(getattr(Pump, name)).parameters.keys() == (
        inspect.signature(getattr(AsyncPump, name)).parameters.keys()
    )


@pytest.mark.parametrize("name", BOTH)
def test_no_method_is_in_both_pumps_unchanged(name: str) -> None:
    assert ast.dump(SYNC[name]) != ast.dump(ASYNC[name]), "move it to PumpCore"


@pytest.mark.parametrize("name", BOTH)
def test_the_pumps_differ_only_in_how_they_wait(name: str) -> None:
    assert (name in DIFFERENT) == (without_waits(SYNC[name]) != without_waits(ASYNC[name]))
