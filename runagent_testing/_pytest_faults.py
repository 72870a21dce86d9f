"""Faults in tests: what the marker ``fake_agent`` asks for, and chance for all tests.

The plugin for pytest imports this module when a test uses fake agents, or is marked with ``faults=``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from runagent_testing._host.chaos import Chaos, Injection
from runagent_testing._internal.suggestions import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing._host.host import AgentHost
    from runagent_testing.faults import Player

__all__ = ["PARAMETER", "Faults", "Marks", "check_use", "parametrize"]

PARAMETER = "_fake_agent_fault"
_ALLOWANCES = ("allow_unused", "allow_unmatched")
_OF_FAULTS = ("fault", "faults", "without", "run", "agent", "chaos")
_HOST_FIXTURES = ("fake_agent_server", "fake_agent_server_factory", "memory_network")
_UNUSED = (
    "uses none of the fixtures fake_agent, fake_agent_server, fake_agent_server_factory, memory_network: "
    "let it take one, or remove the marker"
)
_FAULTS_SHOWN = 20
_TAKES = "@pytest.mark.fake_agent takes keywords: {}"


@dataclass(slots=True)
class Marks:
    """What the markers of a test ask for; of an allowance, the marker next to the test counts.

    Attributes:
        allowed: The arguments of `AgentHost.problems`.
        faults: Name, run and agent of each fault that the test has to meet.
        from_group: The one of them that comes from ``faults=``, and is not named there by its id.
        is_exempt: Whether chance leaves the test alone.
    """

    allowed: dict[str, bool] = field(default_factory=dict)
    faults: list[tuple[str, int | None, str | None]] = field(default_factory=list)
    from_group: str | None = None
    is_exempt: bool = False

    @classmethod
    def of(cls, item: pytest.Item) -> Marks:
        """Read the markers of a test; an invalid one fails it."""
        found = cls()
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        for marker in item.iter_markers("fake_agent"):
            _check(marker)
            given = marker.kwargs
            for name in _ALLOWANCES:
                if name in given:
                    found.allowed.setdefault(name, given[name])
            where = given.get("run"), given.get("agent")
            if "fault" in given:
                found.faults.append((given["fault"], *where))
            if "faults" in given and PARAMETER in parameters:
                name = parameters[PARAMETER]
                found.faults.append((name, *where))
                found.from_group = None if name in _names(given["faults"], "faults") else name
            found.is_exempt |= given.get("chaos") is False
        found.is_exempt |= bool(found.faults)
        return found


def _check(marker: pytest.Mark) -> None:
    known = (*_ALLOWANCES, *_OF_FAULTS)
    if marker.args:
        pytest.fail(_TAKES.format(", ".join(known)), pytrace=False)
    for name in marker.kwargs.keys() - set(known):
        pytest.fail(f"@pytest.mark.fake_agent has no keyword {name!r}; {nearest(name, known)}", pytrace=False)
    if marker.kwargs.get("chaos", False) is not False:
        pytest.fail("@pytest.mark.fake_agent takes chaos=False, for a test without faults", pytrace=False)
    if {"fault", "faults"} <= marker.kwargs.keys():
        pytest.fail("@pytest.mark.fake_agent takes fault= or faults=, not both", pytrace=False)
    for name in {"run", "agent", "without"} & marker.kwargs.keys():
        needed = ("faults",) if name == "without" else ("fault", "faults")
        if not marker.kwargs.keys() & set(needed):
            message = f"@pytest.mark.fake_agent takes {name}= together with {'= or '.join(needed)}="
            pytest.fail(message, pytrace=False)


def _names(given: Any, keyword: str) -> list[Any]:
    if isinstance(given, str):
        return [given]
    if isinstance(given, Iterable):
        return list(given)
    pytest.fail(f"@pytest.mark.fake_agent: {keyword}= is a fault, or a list of faults", pytrace=False)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Run a test once under each fault of its markers."""
    marker = next(mark for mark in metafunc.definition.iter_markers("fake_agent") if "faults" in mark.kwargs)
    _check(marker)
    used = [name for name in _HOST_FIXTURES if name in metafunc.fixturenames]
    if not used and marker in metafunc.definition.own_markers:
        pytest.fail(f"{metafunc.definition.name} is marked with faults=, but {_UNUSED}", pytrace=False)
    if not used:
        return  # another test of a marked class or module
    player: Player = "memory" if used == ["memory_network"] else "socket"
    without = _names(marker.kwargs.get("without", ()), "without")
    names = _expanded(
        _names(marker.kwargs["faults"], "faults"), without, player, _place_of(metafunc.definition)
    )
    metafunc.fixturenames.append(PARAMETER)
    metafunc.parametrize(PARAMETER, names, indirect=True, ids=names)


def _expanded(names: list[str], without: list[str], player: Player, test: str) -> list[str]:
    from runagent_testing.faults._displacing import check_names, expand_names

    problem = "faults= and without= leave no fault that the test can meet"
    try:
        check_names(names, "faults=")
        check_names(without, "without=")
        found = expand_names(names, without, player)
    except (TypeError, ValueError) as exc:
        found, problem = [], str(exc)
    return found or pytest.fail(f"{test}: @pytest.mark.fake_agent: {problem}", pytrace=False)


def _place_of(item: pytest.Item) -> str:
    """Name a test that is being collected, as pytest would not."""
    file, line, name = item.location
    return f"{name} ({file}:{(line or 0) + 1})"


def check_use(item: pytest.Item, *, is_over: bool) -> None:
    """Fail a test that uses no fake agent, if it is marked itself: its markers would do nothing.

    Args:
        item: The test, whose fixtures are set up.
        is_over: Whether its function has returned. Before that, one that takes ``request`` may still ask for
            a fixture; after that, only a fault is missed.
    """
    marks = [mark for mark in item.own_markers if mark.name == "fake_agent"]
    for mark in marks:
        _check(mark)
    keywords = [name for mark in marks for name in mark.kwargs if not is_over or name in ("fault", "faults")]
    if keywords and (is_over or not _takes_request(item)):
        pytest.fail(f"{item.name} is marked with {keywords[0]}=, but {_UNUSED}", pytrace=False)


def _takes_request(item: pytest.Item) -> bool:
    function = getattr(item, "function", None)
    return function is not None and "request" in inspect.signature(function).parameters


class Faults:
    """The faults of one test, on all of its hosts.

    Args:
        item: The test.
        marks: What its markers ask for.
        rate: The part of runs that chance chooses, if the test is not exempt.
        seed: Of chance.
    """

    def __init__(self, item: pytest.Item, marks: Marks, rate: float, seed: int | None) -> None:
        self._marks = marks
        self._seed = seed
        file, _, name = item.location  # its id is longer in some modes of pytest-xdist
        lasts = rate and seed is not None and not marks.is_exempt
        self._chaos = Chaos(rate, seed or 0, test=f"{file}::{name}") if lasts else None
        self._injections: list[Injection] | None = None
        self._hosts: list[AgentHost] = []

    def begin(self, host: AgentHost) -> None:
        """Have the runs of another host meet the faults, until `end`."""
        if self._injections is None:
            self._injections = list(self._parsed(host))
        host._disruptor.last(self._chaos, self._injections)
        self._hosts.append(host)

    def end(self, host: AgentHost) -> None:
        """Let a host serve another test."""
        host._disruptor.last(None, [])

    def _parsed(self, host: AgentHost) -> Iterator[Injection]:
        """Yield each fault of a run; one of a connection is left to the host, the first of the test."""
        for name, run, agent in self._marks.faults:
            problem = ""
            try:
                parsed = host._disruptor.parse(name, agent, run)
            except (TypeError, ValueError) as exc:
                problem = str(exc)
            if problem and name == self._marks.from_group:
                # Such as one that does not exist over TLS, of which only the host knows.
                pytest.skip(problem)
            if problem:
                pytest.fail(problem, pytrace=False)
            if isinstance(parsed, Injection):
                yield parsed
            else:
                host.on_connect(parsed)

    def check(self, problems: list[str]) -> list[str]:
        """Add the faults that were not met to the problems of a test.

        If that is all, and no answer had a place for a fault of a group, the test is skipped.
        """
        unmet = [injection for injection in self._injections or () if not injection.is_met]
        self._injections = None
        if not problems:
            for injection in unmet:
                if injection.name == self._marks.from_group and injection.misfits:
                    pytest.skip(injection.misfits[-1])
        return [*problems, *map(str, unmet)]

    def met(self) -> str:
        """Describe the faults that were met by chance, and how to meet them again; "" for none."""
        if self._chaos is None:
            return ""
        met = [one for host in self._hosts for one in host._disruptor.met]
        several = len({one.agent_id for one in met}) > 1 or any(len(host._agents) > 1 for host in self._hosts)
        lines = []
        for agent_id, run, fault in met[:_FAULTS_SHOWN]:
            agent = f", agent={agent_id!r}" if several else ""
            lines.append(f"@pytest.mark.fake_agent(fault={fault!r}, run={run}{agent})")
        if len(met) > _FAULTS_SHOWN:
            lines.append(f"... and {len(met) - _FAULTS_SHOWN} more ...")
        again = f"--fake-agent-chaos={self._chaos.rate:g} --fake-agent-seed={self._seed}"
        return "\n".join([*lines, f"or all of them: {again}"]) if met else ""
