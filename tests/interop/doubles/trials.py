"""Scripts show what a test double does: each situation of docs/situations.md is a trial."""

from __future__ import annotations

import json
import multiprocessing
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main", "situation"]

TRIALS: dict[int, tuple[Callable[[], bool], str]] = {}


def situation(number, verdict):
    """Register a trial of a situation.

    Args:
        number: That of the page.
        verdict: The verdict if the trial returns True: "yes" if the double has a way made for it, "partly" if
            the trial brings the code for it, or if a part is missing. If the trial returns False, it is "no".
    """

    def register(trial):
        TRIALS[number] = trial, verdict
        return trial

    return register


def main(distribution):
    """Print the version, and the verdict of each situation.

    Each trial has a separate process, as some doubles change global state.
    """
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
        verdicts = dict(pool.imap(_verdict, sorted(TRIALS), chunksize=1))
    sys.stdout.write(json.dumps({"version": version(distribution), "verdicts": verdicts}))


def _verdict(number):
    trial, verdict = TRIALS[number]
    return number, verdict if trial() else "no"
