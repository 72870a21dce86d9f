"""`check_transport`: every requirement that applies, in every style, on both players; without pytest."""

from __future__ import annotations

import importlib.util
import inspect
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent._version import install_command
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing.conformance._arguments import (
    check_choices,
    check_dialect_given,
    check_set,
    check_usable,
    subject_of,
)
from runagent_testing.conformance._baseline import Baseline
from runagent_testing.conformance._checks import all_requirements
from runagent_testing.conformance._harness.lab import Lab
from runagent_testing.conformance._harness.requirements import LATEST, PLAYERS, STYLES, Requirement, variants
from runagent_testing.conformance._harness.stage import Stage
from runagent_testing.conformance._harness.subject import API_KEY, Subject
from runagent_testing.conformance._harness.violation import NotApplicable, Violation
from runagent_testing.conformance._report import Report, Result
from runagent_testing.conformance._watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from runagent.transports._async_transport import AnyTransport
    from runagent_testing.dialects import Dialect

__all__ = ["check_transport", "examine"]

__tracebackhide__ = is_ours


def check_transport(
    transport: AnyTransport | str,
    *,
    dialects: Iterable[Dialect] = (),
    options: Mapping[str, Any] | None = None,
    skip_capabilities: Iterable[str] = (),
    requirements: int = LATEST,
    baseline: Baseline | str | Path | None = None,
    styles: Collection[str] = STYLES,
    players: Collection[str] = PLAYERS,
    only: Collection[str] = (),
    samples: Mapping[str, Iterable[Any]] | None = None,
) -> Report:
    """Check a transport against the requirements.

    Args:
        transport: The transport, or the name of an installed one.
        dialects: Dialects that the fake agent needs to understand the transport, in addition to the
            built-in ones and those of installed distributions.
        options: Arguments for the clients: ``headers``, ``transport_options``, ``entrypoint_tag``.
        skip_capabilities: Declared capabilities that the peer cannot show, perhaps because of these options;
            their requirements are then not applicable.
        requirements: The number of the set; a set never changes once it is released. Requirements of newer
            sets are checked too, but their failures are only advice.
        baseline: Known failures, or the file that lists them.
        styles: Some of "sync", "asyncio", "trio".
        players: Some of "memory", "socket".
        only: Ids of requirements; if empty, all are checked.
        samples: Scripts of streams with all that your protocol has, by name: the steps of `Agent.reply`
            that make events, ``raw(...)`` and ``error(...)`` included. They are cut, broken off and
            corrupted anywhere, and each of their events has to arrive. The kit has samples of what the
            dialect can write.

    Returns:
        A report, to print or to `Report.check`.

    Raises:
        ValueError: A set, style, player, capability or requirement is unknown, no style or player is chosen,
            the baseline is invalid, or the fake agent does not understand the transport and no dialect is
            given.
        TypeError: A dialect, a step of a sample or an option for clients is invalid.
        ConfigurationError: The transport is unknown, or not a transport.
        OSError: The baseline cannot be read.
    """
    check_set(requirements)
    check_choices(styles, players, skip_capabilities, only)
    known = Baseline.of(baseline)
    known.check_known(all_requirements())
    subject = subject_of(transport, dialects, options or {}, skip_capabilities, samples or {})
    check_usable(subject)
    watchdog = Watchdog()
    results = [
        examine(subject, requirement, variant, requirements=requirements, baseline=known, watchdog=watchdog)
        for requirement in all_requirements()
        if not only or requirement.id in only
        for variant in variants(requirement)
        if not variant or _chosen(variant, styles, players)
    ]
    return Report(subject.name, requirements, subject.capabilities, tuple(results))


def examine(
    subject: Subject,
    requirement: Requirement,
    variant: str,
    *,
    requirements: int,
    baseline: Baseline,
    watchdog: Watchdog,
) -> Result:
    """Check one requirement in one variant.

    Raises:
        ValueError: It fails, as the transport's dialect is missing.
    """
    result = _examined(subject, requirement, variant, requirements, baseline, watchdog)
    if result.status == "failed":
        check_dialect_given(subject, watchdog)
    return replace(result, reason=subject.secrets.prose(result.reason))


def _examined(
    subject: Subject,
    requirement: Requirement,
    variant: str,
    requirements: int,
    baseline: Baseline,
    watchdog: Watchdog,
) -> Result:
    known = baseline.reason(requirement.id, variant)
    try:
        watchdog.perform(lambda: _perform(subject, requirement, variant), f"{requirement.id}[{variant}]")
    except NotApplicable as exc:
        return Result(requirement, variant, "not applicable", str(exc))
    except Violation as exc:
        fault = str(exc)
    except Exception as exc:  # noqa: BLE001 - a third party's transport may raise anything
        fault = _fault(exc)
    else:
        if known is None:
            return Result(requirement, variant, "passed")
        return Result(requirement, variant, "stale", f"it passes: remove it from the baseline ({known})")
    if known is not None:
        return Result(requirement, variant, "known", f"{known}\n{fault}")
    return Result(requirement, variant, "failed" if requirement.since <= requirements else "advice", fault)


def _fault(raised: BaseException) -> str:
    while isinstance(raised, BaseExceptionGroup) and len(raised.exceptions) == 1:  # trio's nurseries wrap
        raised = raised.exceptions[0]
    if isinstance(raised, Violation):
        return str(raised)
    what = f"it raised {raised!r}"
    if _is_of_the_kit(raised):
        what = f"the kit was unable to finish this check, which is a fault of the kit: {raised!r}"
    return f"{what}\n" + "".join(traceback.format_exception(raised)[-4:])


def _is_of_the_kit(raised: BaseException) -> bool:
    """Whether the kit's code raised the error, not the transport, its dialect or the client."""
    frames = traceback.extract_tb(raised.__traceback__)
    folder = Path(__file__).parent
    return bool(frames) and any(
        Path(frames[-1].filename).is_relative_to(folder / name) for name in ("_checks", "_harness")
    )


def _perform(subject: Subject, requirement: Requirement, variant: str) -> None:
    name = requirement.capability
    if name is not None and name in subject.skip_capabilities:
        raise NotApplicable(f"the peer cannot show {name!r}")
    declared = subject.capabilities & {name, *requirement.alternatives}
    if name is not None and bool(declared) == requirement.undeclared:
        raise NotApplicable(_declared((name, *requirement.alternatives), declared))
    if subject.is_library and (not variant or variant.endswith("-memory")):
        raise NotApplicable("the transport brings its own connections: there is no session to feed")
    if requirement.libraries and not subject.is_library:
        raise NotApplicable("the transport is not a library, so sessions are checked for this")
    if not variant:
        requirement.check(Lab(subject))
        return
    style, _, player = variant.partition("-")
    if style == "trio" and importlib.util.find_spec("trio") is None:
        raise NotApplicable(f"trio is not installed: {install_command('trio')}")
    api_key = API_KEY if requirement.guarded else None
    with Stage(subject, style, player, api_key=api_key) as stage:
        if inspect.iscoroutinefunction(requirement.check):
            stage.perform(requirement.check)
        else:
            requirement.check(stage)


def _declared(names: Collection[str], declared: Collection[str]) -> str:
    """Name those of some capabilities that are declared, or all of them if none is."""
    shown = ", ".join(map(repr, sorted(declared or names)))
    if declared:
        return f"{shown} {'is' if len(declared) == 1 else 'are'} declared"
    return f"{shown} is not declared" if len(names) == 1 else f"none of {shown} is declared"


def _chosen(variant: str, styles: Collection[str], players: Collection[str]) -> bool:
    style, _, player = variant.partition("-")
    return style in styles and player in players
