"""Guessing the next tokens from the text so far: an answer that quotes repeats its prompt. Knows token ids.

Prompt lookup decoding: a guess costs little beside the token that is computed anyway, and a wrong one
changes nothing (https://github.com/apoorvumang/prompt-lookup-decoding).
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Lookup"]

_GRAM = 3  # tokens that have to repeat before the ones after them are guessed
_FEWEST, _MOST = 2, 16


class Lookup:
    """Finds the last place where the latest tokens stood before, and guesses what followed there.

    Guesses grow longer while they come true and shorter when they do not.
    """

    def __init__(self) -> None:
        self._after: dict[tuple[int, ...], int] = {}  # the tokens, and where what follows them begins
        self._indexed = _GRAM
        self._length = 4

    def guess(self, tokens: Sequence[int], most: int) -> list[int]:
        """Guess what follows `tokens`, which only ever grow from call to call; at most `most` tokens."""
        for end in range(self._indexed, len(tokens)):
            self._after[tuple(tokens[end - _GRAM : end])] = end
        self._indexed = max(self._indexed, len(tokens))
        start = self._after.get(tuple(tokens[-_GRAM:]))
        return [] if start is None else list(tokens[start : start + min(self._length, most)])

    def judge(self, guessed: int, right: int) -> None:
        """Learn how many tokens of the last guess came true."""
        if guessed and right == guessed:
            self._length = min(2 * self._length, _MOST)
        elif guessed:
            self._length = max(_FEWEST, right)
