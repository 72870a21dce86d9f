"""The package of the fake agent: what it exports, and what its import and its server do without."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import runagent_testing
from runagent_testing._host.agent import Agent
from runagent_testing._journal.exchange import Exchange


def test_importing_the_package_imports_no_server():
    program = "import sys, runagent_testing; print('aiohttp' in sys.modules, 'asyncio' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["False", "False"]


def test_the_server_serves_without_the_client():
    program = "import sys, runagent_testing._server.server; print('runagent' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["False"]


def test_an_agent_has_only_methods_for_tests():
    answers = {"always", "reply", "responds", "fails", "returns", "returns_once", "replay", "forwards"}
    others = {"when", "limit", "inject", "entrypoints", "wait_request"}
    assert answers | others == methods(Agent)


def test_an_exchange_has_only_methods_that_read_it():
    waiting = {"wait_sent", "wait_done", "wait_disconnected"}
    showing = {"timeline", "transcript", "transcript_dict", "as_dict"}
    assert waiting | showing == methods(Exchange)


def methods(cls):
    return {name for name, _ in inspect.getmembers(cls, inspect.isfunction) if not name.startswith("_")}


@pytest.mark.parametrize("name", runagent_testing.__all__)
def test_every_public_name_exists_and_is_documented(name):
    assert getattr(runagent_testing, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = runagent_testing.nope  # type: ignore[attr-defined]
