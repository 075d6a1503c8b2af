"""Limits of a turn while it is generated: thinking budget and grammar. Knows token ids, no messages."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from torch import Tensor

from qwen_agentkit.chat.tags import CLOSE_THINK, CLOSING_WORDS, OPEN_THINK
from qwen_agentkit.engine.checkpoint.loading import Loaded
from qwen_agentkit.engine.checkpoint.template import Prompt
from qwen_agentkit.engine.grammar.matcher import Matcher

__all__ = ["CLOSING", "TurnGuide", "longest_thought"]

CLOSING = f"{CLOSING_WORDS}{CLOSE_THINK}\n\n"
"""What closes a thought that grew too long."""

# Most tokens that a thought has to leave for the text after it; a short limit leaves a quarter.
_RESERVE = 1024


def longest_thought(limit: int, closing: int) -> int:
    """Return after how many tokens of an output a thought is closed.

    Args:
        limit: Most tokens of the output.
        closing: Tokens of the closing words.
    """
    last = limit - min(limit // 4, _RESERVE) - closing
    return last if last > 0 else limit


class TurnGuide:
    """Closes a thought that grows too long, and keeps the output inside a grammar.

    A thought is closed when its budget is spent, or when it would leave less than a quarter of all tokens
    (1,024 at most) to the text after it. The closing words count as output. If they do not fit either, the
    thought is not closed, and the limit cuts it off.

    Args:
        loaded: The model that generates.
        prompt: The prompt that it answers.
        limit: Most tokens of the output.
        budget: Most tokens of the thought; None for as many as leave room for the answer.
        matcher: Follows the output through a grammar; None leaves it free.

    Attributes:
        truncated: Whether a thought was closed.
    """

    def __init__(
        self, loaded: Loaded, prompt: Prompt, *, limit: int, budget: int | None, matcher: Matcher | None
    ) -> None:
        find = loaded.tokenizer.backend_tokenizer.token_to_id
        self._open, self._close = find(OPEN_THINK), find(CLOSE_THINK)
        self._closing = loaded.encode_prompt(CLOSING)
        self._decode = loaded.tokenizer.decode
        self._last = longest_thought(limit, len(self._closing))
        self._budget = budget
        self._matcher = matcher
        self._forced: deque[int] = deque()
        self._blank = not prompt.opened  # only blanks so far, so a think block may begin
        self._thinking = prompt.opened
        self._length = self._thought = 0
        self.truncated = False

    def start(self) -> Sequence[int]:
        """Return the tokens that the output has to begin with, one at a time."""
        return self._next_forced()

    def after(self, token: int) -> Sequence[int]:
        """Take a token of the output and return the one to insert after it, if any."""
        self._length += 1
        if self._matcher:
            self._matcher.accept(token)
        if self._blank and token == self._open:
            self._thinking = True
        elif token == self._close:
            self._thinking = False
        elif self._thinking:
            self._thought += 1
        self._blank = self._blank and not str(self._decode([token])).strip()
        return self._next_forced()

    def mask(self, logits: Tensor) -> None:
        """Set the logits of tokens that the grammar does not allow to -inf, in place."""
        if self._matcher:
            self._matcher.mask(logits)

    def _next_forced(self) -> list[int]:
        if not self._forced:
            if self._thinking and self._too_long() and not self.truncated:
                self.truncated = True
                self._forced.extend(self._closing)
            elif self._matcher:
                self._forced.extend(self._matcher.forced())
        return [self._forced.popleft()] if self._forced else []

    def _too_long(self) -> bool:
        return self._length >= self._last or (self._budget is not None and self._thought >= self._budget)
