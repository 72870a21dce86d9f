"""The command ``runagent``.

Everything but `argparse` is imported by the subcommand that needs it, so that ``--help`` stays quick.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import runagent  # whose errors are loaded once there is one
from runagent._cli.arguments import UsageError, parse_arguments
from runagent._cli.console import Console, OutputError
from runagent._cli.exit_codes import AGENT_FAILED, GOOD, INTERRUPTED, NOBODY_READS, WRONG_USAGE, exit_code

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 is success, 1 an error of the agent, 2 wrong usage or configuration, 3 a failure of the way to the
    agent (network, protocol, timeout), 130 Ctrl-C, 141 a standard output that nobody reads any more.

    Args:
        argv: The arguments without the program's name; by default the process's own.
    """
    console = Console(sys.stdout, sys.stderr)
    try:
        return _run(argv, console)
    except OutputError as exc:
        console.abandon_output()
        if exc.nobody_reads:
            return NOBODY_READS
        console.note(f"runagent: error: cannot write the output: {exc}")
        return AGENT_FAILED


def _run(argv: Sequence[str] | None, console: Console) -> int:
    verbose = 0
    try:
        arguments = parse_arguments(argv)
        verbose = arguments.verbose
        code: int = arguments.command(arguments, console) or GOOD
        console.end_line()
        console.flush()
    except SystemExit as exc:  # argparse has shown the help or the version
        console.flush()
        return exc.code if isinstance(exc.code, int) else GOOD
    except UsageError as exc:
        return _fail(console, str(exc), WRONG_USAGE)
    except runagent.RunAgentError as exc:
        from runagent._cli.advice import describe  # only an error needs it

        code = _fail(console, describe(exc), exit_code(exc), exc if verbose > 1 else None)
        if verbose:
            from runagent._cli.explain import name_of

            console.note(f"runagent: explained by: runagent explain {name_of(exc)}")
        return code
    except KeyboardInterrupt:
        console.end_wait()
        with contextlib.suppress(OutputError):
            console.end_line()
        return INTERRUPTED
    return code


def _fail(console: Console, message: str, code: int, traced: runagent.RunAgentError | None = None) -> int:
    console.note(f"runagent: error: {message}")
    if traced is not None:
        console.traceback(traced)
    return code
