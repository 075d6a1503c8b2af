"""Prompt lookup decoding: drafts the next tokens from the text so far. Knows token ids.

An answer that quotes repeats its prompt. Running a draft costs little beside the token that is computed
anyway, and a wrong draft changes nothing (https://github.com/apoorvumang/prompt-lookup-decoding).
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["LONGEST_DRAFT", "PromptLookup"]

_GRAM = 3  # tokens that have to repeat before the ones after them are drafted
_SHORTEST = 2

LONGEST_DRAFT = 16
"""Most tokens of a draft."""


class PromptLookup:
    """Finds the last place where the latest tokens stood before, and drafts what followed there.

    Drafts grow longer while all of their tokens are accepted, and shorter when some are not.
    """

    def __init__(self) -> None:
        self._after: dict[tuple[int, ...], int] = {}  # tokens, and where what follows them begins
        self._indexed = _GRAM
        self._length = 4

    def draft(self, tokens: Sequence[int], limit: int) -> list[int]:
        """Return what may follow `tokens`, at most `limit` tokens; `tokens` only grow from call to call."""
        for end in range(self._indexed, len(tokens)):
            self._after[tuple(tokens[end - _GRAM : end])] = end
        self._indexed = max(self._indexed, len(tokens))
        start = self._after.get(tuple(tokens[-_GRAM:]))
        return [] if start is None else list(tokens[start : start + min(self._length, limit)])

    def record(self, drafted: int, accepted: int) -> None:
        """Adapt the length of drafts to how many tokens of the last one were accepted."""
        if drafted and accepted == drafted:
            self._length = min(2 * self._length, LONGEST_DRAFT)
        elif drafted:
            self._length = max(_SHORTEST, accepted)
