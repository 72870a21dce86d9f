"""Characters that an agent cut in two: the halves come as escapes in two chunks."""

from __future__ import annotations

import msgspec

__all__ = ["SurrogateJoiner"]

_HIGH = ("\ud800", "\udbff")


class SurrogateJoiner(msgspec.Struct, gc=False):
    """Join an emoji that was cut between two chunks, where each half came as a ``\\ud83d`` escape.

    The first half waits for the next text; a half that stays alone becomes U+FFFD, because a lone
    surrogate can be neither printed nor encoded.

    Attributes:
        half: What waits for its other half; "" for nothing.
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

    def flush(self) -> str:
        """Return what the half that never found its other stands for, if there is one."""
        half, self.half = self.half, ""
        return "\ufffd" if half else ""
