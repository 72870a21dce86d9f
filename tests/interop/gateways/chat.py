"""The chat page of docs/cookbook in a browser's tab, as its user sees and drives it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from tests.interop.browser import Tab

if TYPE_CHECKING:
    from tests.interop.programs import Program

__all__ = ["Chat"]

# Keeps the EventSources of the page, which hides them in its module, and counts their failures.
_SPY = """
window.sources = [];
window.failures = 0;
window.EventSource = class extends EventSource {
  constructor(...given) {
    super(...given);
    sources.push(this);
    this.addEventListener("error", () => failures++);
  }
};
"""
CLOSED = "sources.every((each) => each.readyState === EventSource.CLOSED)"


class Chat(Tab):
    """The page, opened."""

    def __init__(self, browser: Program, url: str) -> None:
        super().__init__(browser, "about:blank#chat")
        self._page = url

    def __enter__(self) -> Self:
        super().__enter__()
        self.command("Page.addScriptToEvaluateOnNewDocument", source=_SPY)
        self.open(self._page)
        return self

    def ask(self, question: str) -> None:
        """Type a question, and send it by the keyboard."""
        self.value("document.getElementById('question').focus()")
        self.type(question)
        self.press("Enter")

    def wait_for_answer(self, text: str) -> None:
        """Wait until the last answer has this text, and nothing else."""
        self.wait(f"{self._ANSWER} === {json.dumps(text)}")

    def wait_for_state(self, text: str) -> None:
        """Wait until the line of the state has this text."""
        self.wait(f"document.getElementById('state').innerText === {json.dumps(text)}")

    @property
    def answer(self) -> str:
        """The text of the last answer."""
        text: str = self.value(self._ANSWER)
        return text

    @property
    def draft(self) -> str:
        """What is in the field of the question."""
        text: str = self.value("document.getElementById('question').value")
        return text

    @property
    def has_closed(self) -> bool:
        """Whether nothing is asked again: an `EventSource` that is closed does not reconnect."""
        closed: bool = self.value(CLOSED)
        return closed

    def send_event(self, kind: str, fields: dict[str, Any]) -> None:
        """Have the last `EventSource` get an event."""
        event = f"new MessageEvent({json.dumps(kind)}, {{ data: {json.dumps(json.dumps(fields))} }})"
        self.value(f"sources.at(-1).dispatchEvent({event})")

    _ANSWER = "[...document.querySelectorAll('article.answer')].at(-1)?.lastChild.data"
