"""``runagent explain``: the cause of an error, whether it is retried, and what to do."""

from __future__ import annotations

import re
import textwrap
from http import HTTPStatus
from typing import TYPE_CHECKING

import runagent
from runagent._cli.arguments import UsageError
from runagent._cli.codes import CODES
from runagent._cli.exit_codes import exit_code
from runagent._cli.explanations import CLASSES, Explanation
from runagent._internal.suggestions import nearest
from runagent.transports._refusals import CLASSES_BY_CODE, error_class

if TYPE_CHECKING:
    import argparse

    from runagent._cli.console import Console

__all__ = ["explain", "find", "name_of", "names", "paragraphs"]

_WIDTH = 100
_STATUS = re.compile("[45][0-9]{2}")  # of answers that refuse a run
_STATUS_NAMES = {"INTERNAL_ERROR": "INTERNAL_SERVER_ERROR"}
_OF_THE_SERVICE = (
    ": the client has no such code (runagent explain lists them); "
    "for a code of the service, give the class of the error"
)


def explain(arguments: argparse.Namespace, console: Console) -> None:
    """Print the explanation of a code, a class of errors or an HTTP status, or without one the list of both.

    Raises:
        UsageError: It is unknown.
    """
    if arguments.code is None:
        console.write("".join(f"{each}\n" for each in names()))
        return
    name = find(arguments.code)
    if name is None:
        meant = nearest(arguments.code.upper(), {each.upper(): each for each in names()}, _OF_THE_SERVICE)
        raise UsageError(f"unknown code {arguments.code!r}{meant}")
    lines = [textwrap.fill(each, _WIDTH, subsequent_indent="  ") for each in paragraphs(name)]
    console.write("\n\n".join([name, *lines]) + "\n")


def names() -> tuple[str, ...]:
    """Return all codes and classes; a code that ends in ``_`` is followed by a number."""
    return (*CLASSES, *CODES)


def find(text: str) -> str | None:
    """Return the name of the explanation for a code or class in any case, or for an HTTP status; or None.

    Codes that the protocols have for refusals, and names of statuses, are explained as their class.
    """
    if _STATUS.fullmatch(text):
        return error_class(int(text)).__name__
    by_name = {name.upper(): name for name in names()}
    upper = text.upper()
    family = upper.rstrip("0123456789")
    found = by_name.get(upper) or (by_name.get(family) if family.endswith("_") else None)
    return found or _class_of_refusal(upper)


def _class_of_refusal(code: str) -> str | None:
    if code in CLASSES_BY_CODE:
        return CLASSES_BY_CODE[code].__name__
    status = HTTPStatus.__members__.get(_STATUS_NAMES.get(code, code), HTTPStatus.OK)
    return error_class(status).__name__ if status >= 400 else None


def name_of(error: runagent.RunAgentError) -> str:
    """Return what to ask for about an error: its code if that is one of the client's, otherwise its class."""
    code = error.code or ""
    about = CODES.get(find(code) or "")
    is_ours = about is not None and type(error).__name__ in about.classes
    return code if is_ours else type(error).__name__


def paragraphs(name: str) -> list[str]:
    """Return what is known of a code or a class, as the page of the reference shows it."""
    about = CLASSES.get(name) or CODES[name]
    return [
        f"Class: {' or '.join(about.classes)}. Exit code of the command: {_exit_codes(about)}.",
        f"Cause: {about.cause}",
        f"Retried: {about.retried}",
        f"What to do: {about.action}",
    ]


def _exit_codes(about: Explanation) -> str:
    return " or ".join(dict.fromkeys(str(exit_code(getattr(runagent, name)())) for name in about.classes))
