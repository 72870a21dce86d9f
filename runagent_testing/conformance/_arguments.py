"""The arguments of the kit, which are proved valid once, before the first requirement is checked."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.suggestions import nearest
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing.conformance._checks import all_requirements
from runagent_testing.conformance._harness.requirements import LATEST, PLAYERS, STYLES
from runagent_testing.conformance._harness.samples import checked_samples
from runagent_testing.conformance._harness.subject import CAPABILITIES, Subject
from runagent_testing.dialects._base import check_dialect
from runagent_testing.dialects._builtin import BUILT_IN
from runagent_testing.dialects._installed import installed_dialects

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from runagent.transports._async_transport import AnyTransport
    from runagent_testing.conformance._watchdog import Watchdog
    from runagent_testing.dialects import Dialect

__all__ = ["check_choices", "check_dialect_given", "check_set", "check_usable", "subject_of"]

__tracebackhide__ = is_ours

_BASE_URL = "http://127.0.0.1:9"  # of a client that connects to nothing


def check_set(number: int) -> None:
    """Reject an unknown set.

    Raises:
        ValueError: No set has this number.
    """
    if number not in range(1, LATEST + 1):
        raise ValueError(f"the sets of requirements are 1 to {LATEST}, not {number!r}")


def check_choices(
    styles: Collection[str],
    players: Collection[str],
    skip_capabilities: Iterable[str],
    only: Collection[str] = (),
) -> None:
    """Reject unknown names, and an empty choice, with which most requirements would be left out.

    Raises:
        ValueError: A name is unknown, a text is given instead of several, or nothing is chosen.
    """
    _check_known("style", "styles", styles, STYLES)
    _check_known("player", "players", players, PLAYERS)
    for argument, chosen, known in (("styles", styles, STYLES), ("players", players, PLAYERS)):
        if not chosen:
            raise ValueError(
                f"{argument}= is empty, so that most would be left out; known are {', '.join(known)}"
            )
    _check_known("capability", "skip_capabilities", skip_capabilities, CAPABILITIES)
    ids = [requirement.id for requirement in all_requirements()]
    _check_known("requirement", "only", only, ids, "runagent-fake explain lists all of them")


def _check_known(
    what: str, argument: str, names: Iterable[str], known: Collection[str], otherwise: str | None = None
) -> None:
    if isinstance(names, str):
        # Of the same kind as the other faults of names.
        raise ValueError(  # noqa: TRY004
            f"{argument}= takes several names, as in [{names!r}], not the text {names!r}"
        )
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}; {nearest(str(name), known, otherwise)}")


def subject_of(
    transport: AnyTransport | str,
    dialects: Iterable[Dialect],
    options: Mapping[str, Any],
    skip_capabilities: Iterable[str],
    samples: Mapping[str, Iterable[Any]],
) -> Subject:
    """Make the subject of what an author gives.

    Raises:
        TypeError: A dialect, or a step of a sample, is invalid.
    """
    if not hasattr(dialects, "__iter__"):
        raise TypeError(f"dialects= are several, as in [{dialects!r}], not one")
    spoken = tuple(map(check_dialect, dialects))
    return Subject(transport, spoken, options, frozenset(skip_capabilities), checked_samples(samples))


def check_usable(subject: Subject) -> None:
    """Reject a subject of which nothing could be checked: every requirement would fail for the same reason.

    Raises:
        ConfigurationError: The transport is unknown or not a transport, or an option for clients is invalid.
        TypeError: An option for clients is unknown.
    """
    client: Any = subject.client("sync", base_url=_BASE_URL)
    client.close()


def check_dialect_given(subject: Subject, watchdog: Watchdog) -> None:
    """Reject a subject whose dialect is missing; asked once a requirement has failed.

    Raises:
        ValueError: No dialect has the transport's name, and none understands its request.
    """
    known = (*BUILT_IN, *installed_dialects())
    spoken = [name for dialect in known for name in (dialect.name, *dialect.transports)]
    # If a dialect is given, the transport may be at fault: the requirements report it.
    # A library would have to run the agent once more, and may never end.
    if subject.dialects or subject.is_library or subject.name in spoken:
        return
    if not _is_understood(subject, watchdog):
        raise ValueError(
            f"the fake agent does not understand the request of the transport {subject.name!r}:"
            " pass the dialect that it speaks (dialects=[...])"
        )


def _is_understood(subject: Subject, watchdog: Watchdog) -> bool:
    understood = []
    # Whatever it raises, the requirements report it.
    with contextlib.suppress(Exception):
        watchdog.perform(lambda: understood.append(subject.is_understood()), "the first request")
    return understood != [False]
