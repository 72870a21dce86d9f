"""Five transport plugins in one place, in a separate process each time: what is imported, and what is not.

Each of their modules records its import in a file, so that even an import that fails is seen.
"""

from __future__ import annotations

import json

import pytest

from tests.docs.pages import ROOT
from tests.support.computer import MARK, RUN, Computer
from tests.support.distributions import install, transport_module

# What must not be imported


def test_nothing_imports_a_plugin_that_was_not_asked_for(computer: Computer) -> None:
    everything = (
        ("-c", "import runagent, runagent.transports; runagent.RunAgentClient"),
        ("-m", "runagent", "--help"),
        ("-m", "runagent", "transports"),
        ("-m", "runagent", "stream", "a", "x"),
        ("-c", RUN),
    )
    for arguments in everything:
        ran = computer.run(*arguments)
        assert (0, "") == (ran.returncode, ran.stderr)
    assert "hello" == ran.stdout.strip()
    assert [] == computer.imported


def test_the_list_is_complete_without_an_import(computer: Computer) -> None:
    listed = json.loads(computer.run("-m", "runagent", "transports", "--json").stdout)
    plugins = {path.name for path in (ROOT / "plugins").glob("runagent-*")}  # those that are installed here
    rows = {row["name"]: row for row in listed if row["distribution"] not in plugins}
    assert len(listed) - len(rows) <= len(plugins)
    assert {
        "broken": "ready",  # nobody knows yet
        "chunked": "built-in",
        "good": "ready",
        "runagent-one:morse": "clash",
        "runagent-two:morse": "clash",
        "slow": "ready",
        "sse": "built-in",
        "websocket": "built-in",
    } == {name: row["status"] for name, row in rows.items()}
    assert {
        "name": "good",
        "distribution": "runagent-good",
        "version": "1.2",  # of the copy that an import finds
        "api_version": 1,
        "status": "ready",
        "capabilities": ["heartbeats", "invoke"],
    } == rows["good"]
    assert (None, None) == (rows["slow"]["api_version"], rows["slow"]["capabilities"])
    assert [] == computer.imported


# What is imported, once it is asked for


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("good", ["runagent_good"]),
        ("runagent-two:morse", ["runagent_two"]),
        ("slow", ["runagent_slow"]),
        ("good,auto", ["runagent_good"]),
        ("auto,good", []),
    ],
)
def test_what_is_asked_for_is_imported_alone(computer: Computer, name: str, modules: list[str]) -> None:
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT=name)
    assert ("hello", modules) == (ran.stdout.strip(), computer.imported), ran.stderr


def test_two_of_one_name_are_an_error_that_names_both(computer: Computer) -> None:
    ran = computer.run("-m", "runagent", "stream", "a", "x", "--transport", "morse")
    assert 2 == ran.returncode
    assert "choose 'runagent-one:morse' or 'runagent-two:morse'" in ran.stderr
    assert [] == computer.imported


def test_a_broken_one_is_reported_and_disturbs_no_other(computer: Computer) -> None:
    ran = computer.run("-m", "runagent", "stream", "a", "x", "--transport", "broken")
    assert 2 == ran.returncode
    assert "'broken' of runagent-broken 1.2 cannot be loaded: ModuleNotFoundError" in ran.stderr
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT="good")
    assert "hello" == ran.stdout.strip()


def test_a_broken_one_is_imported_once(computer: Computer) -> None:
    code = (
        "from runagent import RunAgentClient, PluginError\n"
        "for _ in range(3):\n"
        "    try: RunAgentClient('a').run_generic_stream('x').text()\n"
        "    except PluginError as error: print(error.plugin, type(error.__cause__).__name__)\n"
    )
    ran = computer.run("-c", code, RUNAGENT_TRANSPORT="broken")
    assert ["runagent-broken:broken ModuleNotFoundError"] * 3 == ran.stdout.splitlines()
    assert ["runagent_broken"] == computer.imported


@pytest.mark.parametrize(
    ("switch", "name"), [("all", "good"), ("x,runagent_two:morse", "runagent-two:morse")]
)
def test_what_is_switched_off_is_listed_and_not_imported(computer: Computer, switch: str, name: str) -> None:
    ran = computer.run(
        "-m", "runagent", "stream", "a", "x", RUNAGENT_TRANSPORT=name, RUNAGENT_DISABLE_PLUGINS=switch
    )
    assert (2, True) == (ran.returncode, "RUNAGENT_DISABLE_PLUGINS switches it off" in ran.stderr)
    assert [] == computer.imported


def test_switching_one_off_ends_a_clash(computer: Computer) -> None:
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT="morse", RUNAGENT_DISABLE_PLUGINS="runagent-one")
    assert ("hello", ["runagent_two"]) == (ran.stdout.strip(), computer.imported)


def test_threads_import_once(computer: Computer) -> None:
    code = (
        "import threading; from runagent._plugins.registry import default_registry as registry\n"
        "asked = [threading.Thread(target=registry().get, args=('slow',)) for _ in range(8)]\n"
        "for thread in asked: thread.start()\n"
        "for thread in asked: thread.join()\n"
    )
    assert "" == computer.run("-c", code).stderr
    assert ["runagent_slow"] == computer.imported


# Versions and declarations


def test_a_version_that_is_not_known_is_refused_before_an_import(computer: Computer) -> None:
    install(computer.site, "runagent-future", MARK, transports=("future",), declares="v99.telepathy")
    ran = computer.run("-m", "runagent", "stream", "a", "x", "--transport", "future")
    assert 2 == ran.returncode
    assert "version 99 of the transport API" in ran.stderr
    assert "upgrade runagent" in ran.stderr
    assert 1 == ran.stderr.count("\n")
    assert [] == computer.imported


def test_a_false_declaration_is_logged_and_an_error_if_strict(computer: Computer) -> None:
    source = MARK + transport_module("boaster")
    install(computer.site, "runagent-boaster", source, transports=("boaster",), declares="v1.invoke")
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT="boaster")
    assert "hello" == ran.stdout.strip()
    assert "runagent.capabilities:v1.heartbeats.invoke.reasoning.resume.reuse.structured.tools" in ran.stderr
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT="boaster", RUNAGENT_STRICT_PLUGINS="1")
    assert "PluginError" in ran.stderr
