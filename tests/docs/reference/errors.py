"""The classes and codes of errors, as `runagent explain` has them."""

from __future__ import annotations

from runagent._cli.codes import CODES
from runagent._cli.explain import paragraphs
from runagent._cli.explanations import CLASSES
from tests.docs.reference.docstrings import table

__all__ = ["page"]

_INTRODUCTION = """\
What each error means, by `error.code`, or by the class if the code is the agent's. In a shell,
`runagent explain CODE` prints the same. Fields, retries and resumptions are in [errors](../errors.md).

| exit code | of the command `runagent` |
| --- | --- |
| 0 | success |
| 1 | the agent failed |
| 2 | wrong usage or configuration |
| 3 | the way to the agent failed: network, protocol or time limit |
| 130 | [Ctrl-C](../streaming.md#ctrl-c) |
| 141 | nobody reads the output any more |"""


def page() -> str:
    """Return the page of errors."""
    parts = ["# Errors by class and code", _INTRODUCTION, "## All codes"]
    rows = [
        (f"[`{name}`](#{name.lower()})", " or ".join(f"`{each}`" for each in about.classes), about.retried)
        for name, about in CODES.items()
    ]
    parts.append(table(("code", "class", "retried"), rows))
    parts.append("A code that ends in `_` is followed by a number: of a close code, or of an HTTP status.")
    for title, entries in (("Classes", CLASSES), ("Codes", CODES)):
        parts.append(f"## {title}")
        for name in entries:
            parts += [f"### {name}", *paragraphs(name)]
    return "\n\n".join(parts)
