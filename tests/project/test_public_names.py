"""What users import, and that both clients and both streams offer the same."""

from __future__ import annotations

import ast
import builtins
import copy
import importlib
import inspect
import pickle
import pydoc
import re
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

import runagent
from runagent import AsyncRunAgentClient, AsyncStream, RunAgentClient, Stream, transports
from runagent import _errors as errors
from runagent_testing import FakeAgentServer
from tests.project.layers import PROMISED, ROOT
from tests.support.tracing import environment_without_tracer

PUBLIC_NAMES = [
    "AgentCall",
    "AgentError",
    "AgentNotFoundError",
    "AgentServerError",
    "AsyncNetwork",
    "AsyncRunAgentClient",
    "AsyncStream",
    "Attempt",
    "AuthenticationError",
    "CallObserver",
    "Chunk",
    "Completed",
    "ConfigurationError",
    "Custom",
    "JSONValue",
    "Network",
    "NetworkError",
    "PermissionDeniedError",
    "PluginError",
    "ProtocolError",
    "RateLimitError",
    "Reasoning",
    "Registration",
    "RunAgentClient",
    "RunAgentError",
    "RunReport",
    "RunResult",
    "RunTimeoutError",
    "Settings",
    "Started",
    "Stream",
    "StreamError",
    "StreamEvent",
    "StreamLimitError",
    "StreamResult",
    "StreamTimeoutError",
    "StreamTruncatedError",
    "Timeouts",
    "Tokens",
    "ToolCall",
    "TransportError",
    "ValidationError",
    "__version__",
    "answer",
    "hookimpl",
    "register_network",
    "register_observer",
    "register_transport",
]

NAMES_IN_TESTS = {
    word
    for path in Path(__file__).parents[1].rglob("*.py")
    if path != Path(__file__)
    for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))
}


def test_public_names_are_pinned() -> None:
    assert sorted(PUBLIC_NAMES) == sorted(runagent.__all__)
    assert all(getattr(runagent, name) is not None for name in PUBLIC_NAMES)


@pytest.mark.parametrize("name", sorted({*runagent.__all__, *transports.__all__}))
def test_each_public_name_is_used_in_a_test(name: str) -> None:
    assert name in NAMES_IN_TESTS or name in globals()


PLUGINS = sorted(path.name for path in (ROOT / "plugins").glob("*/runagent_*"))
PACKAGES = ("runagent", "runagent_testing", *PLUGINS)


@pytest.mark.parametrize("package", PACKAGES)
def test_an_import_of_everything_hides_no_builtin(package: str) -> None:
    builtin = set(dir(builtins))
    root = Path(importlib.import_module(package).__file__ or "").parent
    hidden = {
        f"{path.relative_to(root)}: {name}"
        for path in root.rglob("*.py")
        for name in exported_by(ast.parse(path.read_text(encoding="utf-8")))
        if name in builtin
    }
    assert set() == hidden


def exported_by(module: ast.Module) -> set[str]:
    """Return the texts in what is assigned to ``__all__``, and the public names if nothing is."""
    lists = [
        node.value
        for node in module.body
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "__all__" for t in node.targets)
    ]
    texts = {node.value for each in lists for node in ast.walk(each) if isinstance(node, ast.Constant)}
    defined = {getattr(node, "name", "_") for node in module.body}
    return {str(text) for text in texts} if lists else {name for name in defined if not name.startswith("_")}


def test_an_import_of_everything_brings_all_public_names() -> None:
    names: dict[str, object] = {}
    exec("from runagent import *", names)  # the very statement
    assert set(PUBLIC_NAMES) <= set(names)
    assert "TimeoutError" not in names


def test_the_timeout_error_has_the_builtin_name_too() -> None:
    assert runagent.TimeoutError is runagent.RunTimeoutError
    assert issubclass(runagent.TimeoutError, TimeoutError)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Client'"):
        runagent.Client  # type: ignore[attr-defined]  # noqa: B018  # the look-up is the test


def public_methods(cls: type) -> dict[str, Any]:
    return {
        name: member
        for name, member in inspect.getmembers(cls)
        if callable(member) and not name.startswith("_")
    }


@pytest.mark.parametrize(
    ("sync", "asynchronous"), [(RunAgentClient, AsyncRunAgentClient), (Stream, AsyncStream)]
)
def test_both_styles_have_the_same_methods_with_the_same_arguments(sync: type, asynchronous: type) -> None:
    ours = {
        name.removeprefix("a") if name == "aclose" else name: m
        for name, m in public_methods(asynchronous).items()
    }
    theirs = public_methods(sync)
    assert theirs.keys() == ours.keys()
    for name, method in theirs.items():
        assert inspect.signature(method).parameters == inspect.signature(ours[name]).parameters, name


@pytest.mark.parametrize(
    ("make", "name", "hint"),
    [(RunAgentClient, "aclose", r"has close\(\)"), (AsyncRunAgentClient, "close", r"has aclose\(\)")],
)
def test_closing_a_stream_in_the_other_style_names_the_method_of_this_one(
    make: Any, name: str, hint: str
) -> None:
    stream = make("a", base_url="http://127.0.0.1:1").run_generic_stream("x")
    with pytest.raises(AttributeError, match=hint):
        getattr(stream, name)


def test_both_clients_are_made_with_the_same_arguments() -> None:
    assert inspect.signature(RunAgentClient) == inspect.signature(AsyncRunAgentClient)


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_pickle_and_copy_with_their_fields(name: str) -> None:
    error = getattr(errors, name)("what happened", code="CODE", details={"a": [1]}, request_id="r")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert str(twin) == "what happened"
        assert (twin.message, twin.code, twin.details, twin.request_id) == (
            "what happened",
            "CODE",
            {"a": [1]},
            "r",
        )


@pytest.mark.parametrize("make", [RunAgentClient, AsyncRunAgentClient])
@pytest.mark.parametrize("twin", [pickle.dumps, copy.copy, copy.deepcopy])
def test_what_has_connections_explains_why_it_does_not_pickle(make: Any, twin: Any) -> None:
    client = make("a", base_url="http://127.0.0.1:1")
    with pytest.raises(TypeError, match="make one in each process"):
        twin(client)
    with pytest.raises(TypeError, match="collect its chunks instead"):
        twin(client.run_generic_stream("x"))


def test_the_error_tree_is_as_drawn() -> None:
    assert issubclass(runagent.StreamTimeoutError, runagent.RunTimeoutError)
    assert issubclass(runagent.StreamTimeoutError, runagent.StreamError)
    assert all(issubclass(getattr(errors, name), runagent.RunAgentError) for name in errors.__all__)


@pytest.mark.parametrize("module", [runagent, transports], ids=lambda module: module.__name__)
def test_help_knows_every_public_name(module: Any) -> None:
    for name in set(module.__all__) - {"__version__"}:
        assert pydoc.render_doc(getattr(module, name))


@pytest.mark.parametrize("module", sorted(PROMISED))
def test_public_classes_show_a_public_module(module: str) -> None:
    face = importlib.import_module(module)
    for name in getattr(face, "__all__", ()):
        value = getattr(face, name)
        if isinstance(value, type) and value.__module__.startswith("runagent"):
            assert value.__module__ in PROMISED, name
            shown = getattr(importlib.import_module(value.__module__), value.__qualname__)
            assert value is shown, name


@pytest.mark.parametrize("module", [runagent, transports], ids=lambda module: module.__name__)
def test_modules_of_public_names_that_raise_are_left_out_of_failed_tests(module: Any) -> None:
    values = [getattr(module, name) for name in module.__all__]
    classes = filter(inspect.isclass, values)
    functions = [*values, *(each for kind in classes for each in vars(kind).values())]
    for function in filter(inspect.isfunction, functions):
        home = sys.modules[function.__globals__["__name__"]]
        ours = home.__name__.startswith(("runagent.transports", "runagent._client", "runagent._run"))
        if ours and re.search(r"^ +raise\b", inspect.getsource(home), re.MULTILINE):
            assert hasattr(home, "__tracebackhide__"), home.__name__


def test_an_unknown_error_field_is_refused() -> None:
    with pytest.raises(TypeError, match="has no field 'statsu'"):
        runagent.AgentError("x", statsu=400)  # type: ignore[call-arg]


def test_an_error_whose_message_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="the message of a StreamError has to be text, not None"):
        runagent.StreamError(None)  # type: ignore[arg-type]


def test_importing_runagent_imports_nothing_heavy() -> None:
    code = (
        "import sys; import runagent;"
        " heavy = {'asyncio', 'trio', 'ssl', 'aiohttp', 'websockets', 'pluggy', 'msgspec', 'httptools',"
        " 'importlib.metadata', 'email', 'logging', 'json'};"
        " print(sorted(heavy & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env=environment_without_tracer(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == "[]"


def test_a_sync_client_needs_no_event_loop_library() -> None:
    code = (
        "import sys; from runagent import RunAgentClient; RunAgentClient('a');"
        " print(sorted({'asyncio', 'trio', 'websockets', 'aiohttp', 'anyio'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("transport", "others"),
    [("sse", {"chunked", "websocket", "invoke"}), ("chunked", {"sse", "websocket", "invoke"})],
)
def test_a_first_run_loads_only_what_its_transport_needs(transport: str, others: set[str]) -> None:
    heavy = {"asyncio", "trio", "websockets", "ssl", "zlib", "email", "importlib.metadata"}
    heavy |= {"concurrent.futures", "encodings.idna", "json", "pathlib", "pluggy", "sniffio"}
    heavy |= {"dataclasses", "ipaddress", "urllib.parse"}
    heavy |= {
        "runagent._client.results",
        "runagent._plugins.call_observers",
        "runagent._plugins.registration",
        "runagent._run.readahead",
        "runagent._net.tls",
        "runagent.transports._error_body",
        *(f"runagent.transports._{name}" for name in others),
    }
    with FakeAgentServer() as server:
        server.agent("a").always("hello")
        code = (
            "import sys, logging; others = set(sys.modules); from runagent import RunAgentClient;"
            f" client = RunAgentClient('a', base_url={server.url!r}, transport={transport!r});"
            f" print(*client.run_generic_stream('x'), sorted({heavy!r} & set(sys.modules) - others))"
        )
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "hello []"


def test_a_start_compiles_nothing_that_it_may_not_need() -> None:
    code = """
import dataclasses, re, sys
import runagent._client.client, runagent.transports._sse
import runagent.transports._chunked, runagent.transports._websocket
ours = [module for name, module in sys.modules.items() if name.partition(".")[0] == "runagent"]
values = [value for module in ours for value in vars(module).values()]
classes = {value for value in values if isinstance(value, type) and value.__module__[:8] == "runagent"}
print([value for value in values if isinstance(value, re.Pattern)])
print(*sorted(kind.__name__ for kind in classes if dataclasses.is_dataclass(kind)))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # A dataclass compiles its methods.
    assert ["[]", ""] == shown.stdout.splitlines()


COMPILED = """
import re._compiler, sys
compile, compiled = re._compiler.compile, []
def note(pattern, flags=0):
    compiled.append(pattern)
    return compile(pattern, flags)
import runagent._client.client, runagent.transports._{transport}
re._compiler.compile = note
client = runagent.RunAgentClient("a", base_url={url!r}, transport={transport!r})
print(*client.run_generic_stream("x"), compiled)
"""


@pytest.mark.parametrize("transport", ["sse", "chunked"])
def test_a_first_run_compiles_no_regular_expression(transport: str) -> None:
    with FakeAgentServer() as server:
        server.agent("a").always("hello")
        code = COMPILED.format(url=server.url, transport=transport)
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "hello []"


@pytest.mark.parametrize("client", [RunAgentClient, AsyncRunAgentClient])
def test_arguments_in_order_are_refused_with_a_name_for_them(client: Any) -> None:
    complaint = rf"^{client.__name__}\(\) takes only agent_id without its name; .*base_url="
    with pytest.raises(TypeError, match=complaint):
        client("a", "http://127.0.0.1:1", local=True)


@pytest.mark.parametrize("client", [RunAgentClient, AsyncRunAgentClient])
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"retries": 3}, r"has no argument 'retries'; did you mean max_retries=\?$"),
        ({"agent_id": "a", "apikey": "x"}, r"has no argument 'apikey'; did you mean api_key=\?$"),
        ({"agent_id": "a", "shade": "red"}, r"has no argument 'shade'$"),
        ({}, "needs the id of an agent: agent_id"),
    ],
)
def test_a_wrong_argument_names_the_class_and_the_argument_that_was_meant(
    client: Any, arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(TypeError, match=rf"^{client.__name__}\(\) {complaint}"):
        client(**arguments)


@pytest.mark.parametrize("name", sorted(set(runagent.__all__) - {"JSONValue", "StreamEvent", "__version__"}))
def test_the_types_of_fields_can_be_resolved(name: str) -> None:
    value = getattr(runagent, name)
    if hasattr(value, "__struct_fields__") or hasattr(value, "__dataclass_fields__"):
        assert set(typing.get_type_hints(value)) >= set(getattr(value, "__struct_fields__", ()))
