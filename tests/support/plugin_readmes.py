"""What the README of every plugin has to pass: its examples print what it shows, its links lead somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from tests.docs.pages import Page

__all__ = ["check_examples", "check_links"]


def check_examples(readme: Page, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the examples, one after another, and compare what they print."""
    namespace: dict[str, Any] = {}
    for example in readme.examples():
        exec(compile(example.text, readme.name, "exec"), namespace)  # the examples are the project's
        shown, expected = capsys.readouterr().out.rstrip("\n"), (example.output or "").rstrip("\n")
        assert expected == shown, f"line {example.line}: {shown!r} instead of {expected!r}"


def check_links(readme: Page) -> None:
    """Look for the files that the README links."""
    targets = [target.partition("#")[0] for target in readme.links() if "://" not in target]
    assert targets
    assert [] == [target for target in targets if not (readme.path.parent / target).exists()]
