"""The kit as a pytest class: one test per requirement, style and player."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest

from runagent import ConfigurationError
from runagent_testing._internal.public import publish
from runagent_testing.conformance._arguments import check_choices, check_set, check_usable, subject_of
from runagent_testing.conformance._baseline import Baseline
from runagent_testing.conformance._check import examine
from runagent_testing.conformance._checks import all_requirements
from runagent_testing.conformance._harness.requirements import LATEST, PLAYERS, STYLES, variants
from runagent_testing.conformance._watchdog import NOT_CHECKED, Watchdog

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from runagent.transports._async_transport import AnyTransport
    from runagent_testing.conformance._harness.requirements import Requirement
    from runagent_testing.conformance._report import Result
    from runagent_testing.dialects import Dialect

__all__ = ["TransportConformance"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # of an object of which each test makes a new one


class TransportConformance:
    """Subclass it under a name that begins with ``Test``, and override `transport` and, mostly, `dialects`.

    The fixture `samples` adds streams of your protocol that the kit cannot think of.

    Attributes:
        requirements: The number of the set; it has no default, so that an update of the kit never breaks your
            tests. If a requirement of a newer set fails, its test is skipped with the reason
            (``pytest -rs``).
        skip_capabilities: Declared capabilities that the peer cannot show.
        options: Arguments for the clients: ``headers``, ``transport_options``, ``entrypoint_tag``.
        baseline: The file of known failures.
        styles: The styles to run in.
        players: The players to run on.
    """

    requirements: ClassVar[int] = 0
    skip_capabilities: ClassVar[Iterable[str]] = ()
    options: ClassVar[Mapping[str, Any]] = {}
    baseline: ClassVar[Baseline | str | Path | None] = None
    styles: ClassVar[Collection[str]] = STYLES
    players: ClassVar[Collection[str]] = PLAYERS
    _watchdog: ClassVar[Watchdog]
    _unusable: ClassVar[dict[str, str]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._watchdog = Watchdog()  # of all its tests
        cls._unusable = {}  # the first test that met it, by fault

    @pytest.fixture
    def transport(self) -> AnyTransport | str:
        """Return the transport, or the name of an installed one."""
        raise NotImplementedError("override the fixture `transport`")

    @pytest.fixture
    def dialects(self) -> Iterable[Dialect]:
        """Return the dialects that the fake agent needs to understand the transport."""
        return ()

    @pytest.fixture
    def samples(self) -> Mapping[str, Iterable[Any]]:
        """Return scripts of streams with everything that the protocol has, by name; see `check_transport`."""
        return {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test of every requirement in every variant, or one error if the attributes are invalid."""
        if "requirement" not in metafunc.fixturenames:
            return
        try:
            self._check_attributes()
        except ValueError as exc:
            raise pytest.Collector.CollectError(f"{type(self).__qualname__}: {exc}") from None
        cases = [
            pytest.param(requirement, variant, id=f"{requirement.id}-{variant}".rstrip("-"))
            for requirement in all_requirements()
            for variant in variants(requirement)
            if not variant or self._chosen(variant)
        ]
        metafunc.parametrize(("requirement", "variant"), cases)

    def test_requirement(
        self,
        requirement: Requirement,
        variant: str,
        transport: AnyTransport | str,
        dialects: Iterable[Dialect],
        samples: Mapping[str, Iterable[Any]],
    ) -> None:
        """Check one requirement."""
        __tracebackhide__ = True
        test = f"{requirement.id}[{variant}]"
        try:
            result = self._examine(requirement, variant, transport, dialects, samples)
        except (ConfigurationError, TypeError, ValueError) as exc:
            self._fail_once(test, _ADDRESS.sub("", str(exc)))
        if result.bad and result.reason == NOT_CHECKED:
            self._fail_once(test, NOT_CHECKED)
        summary = f"{requirement.sentence} ({requirement.source}; {result.explained})\n{result.reason}"
        if result.bad:
            pytest.fail(f"{result.id}: {summary}", pytrace=False)
        if result.status == "known":
            pytest.xfail(result.reason)
        if result.status == "advice":
            pytest.skip(f"advice, required from set {requirement.since} on: {summary}")
        if result.status == "not applicable":
            pytest.skip(result.reason)

    def test_baseline(self) -> None:
        """Check that the baseline lists known requirements only."""
        Baseline.of(self.baseline).check_known(all_requirements())

    def _check_attributes(self) -> None:
        """Reject attributes with which the tests would fail all alike, or be left out in silence."""
        if inspect.getattr_static(self, "transport") is vars(TransportConformance)["transport"]:
            raise ValueError("override the fixture `transport`")
        if not self.requirements:
            raise ValueError(f"set the number of the requirements: requirements = {LATEST}")
        check_set(self.requirements)
        check_choices(self.styles, self.players, self.skip_capabilities)
        try:
            Baseline.of(self.baseline).check_known(all_requirements())
        except OSError as exc:
            raise ValueError(f"the baseline cannot be read: {exc}") from exc

    def _examine(
        self, requirement: Requirement, variant: str, transport: Any, dialects: Any, samples: Any
    ) -> Result:
        subject = subject_of(transport, dialects, self.options, self.skip_capabilities, samples)
        check_usable(subject)
        return examine(
            subject,
            requirement,
            variant,
            requirements=self.requirements,
            baseline=Baseline.of(self.baseline),
            watchdog=self._watchdog,
        )

    def _fail_once(self, test: str, fault: str) -> NoReturn:
        """Fail the first test for which there is no check for a reason, and skip the others."""
        __tracebackhide__ = True
        first = self._unusable.setdefault(fault, test)
        if first == test:
            pytest.fail(fault, pytrace=False)
        pytest.skip(f"not checked, for the reason for which {first} fails: {fault}")

    def _chosen(self, variant: str) -> bool:
        style, _, player = variant.partition("-")
        return style in self.styles and player in self.players


publish(TransportConformance, module="runagent_testing.conformance")
