"""Characters that an agent cut in two, so that their halves come as escapes in two chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from runagent._public import publish

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SurrogateJoiner"]

_HIGH = ("\ud800", "\udbff")


class SurrogateJoiner(msgspec.Struct, gc=False):
    """Joins an emoji that was cut between two chunks, each half an escape such as ``\\ud83d``.

    The first half is kept until the next text. For example, ``"a\\ud83d"`` gives ``a``, and then
    ``"\\ude00b"`` gives ``😀b``. A half that stays alone becomes U+FFFD, as a lone surrogate can be neither
    printed nor encoded.

    Attributes:
        half: The first half that is kept; "" for none.
    """

    half: str = ""

    def join(self, text: str) -> str:
        """Return the text with whole characters only."""
        if text.isascii() and not self.half:
            return text
        text, self.half = self.half + text, ""
        if text and _HIGH[0] <= text[-1] <= _HIGH[1]:
            text, self.half = text[:-1], text[-1]
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return text

    @classmethod
    def join_all(cls, texts: Iterable[str]) -> str:
        """Return the text that came in these pieces, with whole characters only."""
        joiner = cls()
        return joiner.join("".join(texts)) + joiner.flush()

    def flush(self) -> str:
        """Return U+FFFD for a half that is still kept, or "" if there is none."""
        half, self.half = self.half, ""
        return "\ufffd" if half else ""


publish(SurrogateJoiner, module="runagent.transports")
