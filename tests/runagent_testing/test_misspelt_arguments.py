"""Misspelt arguments of functions and methods of the fake agent: the error names the one that was meant."""

from __future__ import annotations

import pytest

import runagent_testing
from runagent_testing import FakeAgentServer, MemoryNetwork


@pytest.mark.parametrize(
    ("function", "arguments", "wrong", "meant"),
    [
        ("status", (503,), "retry_afer", "retry_after="),
        ("head", (), "header", "headers="),
        ("done", (), "usages", "usage="),
        ("error", ("X",), "mesage", "message="),
        ("ending", ("close",), "resaon", "reason="),
        ("chunk", ("x",), "evnt", "event="),
        ("repeat", ("x",), "tims", "times="),
        ("fixed", (1,), "jiter", "jitter="),
        ("FakeAgentServer", (), "api_kee", "api_key="),
        ("MemoryNetwork", (), "ping_intervall", "ping_interval="),
    ],
)
def test_a_function_names_the_argument_that_was_meant(function, arguments, wrong, meant):
    with pytest.raises(TypeError) as caught:
        getattr(runagent_testing, function)(*arguments, **{wrong: 1})
    assert f"{function}() has no argument {wrong!r}; did you mean {meant!r}?" == str(caught.value)


@pytest.mark.parametrize(
    ("method", "arguments", "wrong", "meant"),
    [
        ("when", (), "quer", "query="),
        ("replay", ("x",), "sped", "speed="),
        ("forwards", ("x",), "recrd", "record="),
        ("limit", (1,), "pre", "per="),
        ("inject", ("x",), "rum", "run="),
        ("responds", (print,), "pase", "pace"),
        ("returns", ("x",), "usge", "usage"),
    ],
)
def test_a_method_of_an_agent_names_it_too(method, arguments, wrong, meant):
    with pytest.raises(TypeError, match=f"{wrong!r}.*; did you mean '{meant}'"):
        getattr(MemoryNetwork().agent("a"), method)(*arguments, **{wrong: 1})


@pytest.mark.parametrize(
    ("method", "arguments", "wrong", "meant"),
    [
        ("chaos", (1,), "sed", "seed="),
        ("inject", ("x",), "agnet", "agent="),
        ("check", (), "alow_unused", "allow_unused="),
        ("on_connect", ("reset",), "time", "times="),
        ("on_request", ("GET /",), "time", "times="),
    ],
)
def test_a_method_of_a_host_names_it_too(method, arguments, wrong, meant):
    for host in (MemoryNetwork(), FakeAgentServer()):
        with pytest.raises(
            TypeError, match=rf"{method}\(\) has no argument {wrong!r}; did you mean '{meant}'"
        ):
            getattr(host, method)(*arguments, **{wrong: 1})


def test_one_that_is_like_none_lists_them():
    with pytest.raises(
        TypeError, match="error\\(\\) has no argument 'zzz'; known are code=, message=, retry_after="
    ):
        runagent_testing.error("X", zzz=1)  # type: ignore[call-arg]
