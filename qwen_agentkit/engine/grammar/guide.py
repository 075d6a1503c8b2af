"""The say in an output: budgets of thought, and grammars. Knows token ids and prompts, no messages."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from torch import Tensor

from qwen_agentkit.chat.tags import CLOSE_THINK, OPEN_THINK
from qwen_agentkit.engine.checkpoint.loading import Loaded
from qwen_agentkit.engine.checkpoint.template import Prompt
from qwen_agentkit.engine.grammar.masking import Matcher

__all__ = ["TurnGuide"]

# The words of Qwen's own guide to thinking budgets; other words would be another model.
_CLOSING = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking "
    f"directly now.\n{CLOSE_THINK}\n\n"
)

# Of the tokens that an answer may have, what a thought leaves for the text after it: a quarter, at most this.
_RESERVE = 1024


class TurnGuide:
    """Closes a thought that grows too long, and holds what is written to a grammar.

    A thought is closed when its budget is spent, or when it would leave the answer less than a quarter of all
    tokens (1,024 at most). The closing words count as written. Where not even they would fit, the thought is
    left to be cut off.

    Args:
        loaded: Whose tokens are written.
        prompt: What they follow.
        limit: Most tokens of the output.
        budget: Most tokens of thought; None for as many as leave room for the answer.
        matcher: Follows the output through a grammar; None leaves it free.

    Attributes:
        truncated: Whether a thought was closed.
    """

    def __init__(
        self, loaded: Loaded, prompt: Prompt, *, limit: int, budget: int | None, matcher: Matcher | None
    ) -> None:
        find = loaded.tokenizer.backend_tokenizer.token_to_id
        self._open, self._close = find(OPEN_THINK), find(CLOSE_THINK)
        self._closing = loaded.encode_prompt(_CLOSING)
        self._decode = loaded.tokenizer.decode
        last = limit - min(limit // 4, _RESERVE) - len(self._closing)
        self._last = last if last > 0 else limit
        self._budget = budget
        self._matcher = matcher
        self._forced: deque[int] = deque()
        self._blank = not prompt.opened  # nothing but blanks so far: a think block may begin
        self._thinking = prompt.opened
        self._written = self._thought = 0
        self.truncated = False

    def start(self) -> Sequence[int]:
        """Begin the output as far as it is certain."""
        return self._next()

    def after(self, token: int) -> Sequence[int]:
        """Follow the output; one token at a time is put into it."""
        self._written += 1
        if self._matcher:
            self._matcher.accept(token)
        if self._blank and token == self._open:
            self._thinking = True
        elif token == self._close:
            self._thinking = False
        elif self._thinking:
            self._thought += 1
        self._blank = self._blank and not str(self._decode([token])).strip()
        return self._next()

    def mask(self, logits: Tensor) -> None:
        """Forbid what the grammar does not have."""
        if self._matcher:
            self._matcher.mask(logits)

    def _next(self) -> list[int]:
        if not self._forced:
            if self._thinking and self._too_long() and not self.truncated:
                self.truncated = True
                self._forced.extend(self._closing)
            elif self._matcher:
                self._forced.extend(self._matcher.forced())
        return [self._forced.popleft()] if self._forced else []

    def _too_long(self) -> bool:
        return self._written >= self._last or (self._budget is not None and self._thought >= self._budget)
