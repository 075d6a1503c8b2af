"""The tokens of one answer by llama.cpp: thought, grammar and limits. Knows token ids, no messages.

llama.cpp holds an answer to a grammar from its first token on, and knows nothing of our turns. So an answer
is written in parts: a thought has no grammar, and ends with its tag or when it grows too long; what follows
has one. A part begins with all that is written, whose keys and values llama.cpp still has.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

from qwen_agentkit.chat.tags import CLOSE_CALL, CLOSE_THINK, OPEN_CALL, OPEN_THINK
from qwen_agentkit.engine.checkpoint.tokens import end_ids
from qwen_agentkit.engine.decode.answer import Asked
from qwen_agentkit.engine.decode.sampler import Sampling
from qwen_agentkit.engine.grammar.holding import without_newer_settings
from qwen_agentkit.engine.grammar.lark import Tags
from qwen_agentkit.engine.grammar.matcher import compile_grammar
from qwen_agentkit.engine.grammar.turn_grammar import turn_grammar
from qwen_agentkit.engine.grammar.turn_guide import CLOSING, longest_thought
from qwen_agentkit.engine.llama.binding import refuse_error, stream
from qwen_agentkit.engine.llama.model import LlamaModel

__all__ = ["LlamaTokens"]

# Tokens of a part, so that room for keys and values grows with the answer. A call or an object cannot be
# taken up again in the middle, and so gets more, and what max_tokens asks for if memory allows it.
_PART, _WHOLE = 512, 2048

# Tokens before the next that count as said before, for presence_penalty; llama.cpp's own default.
_SAID = 64


class LlamaTokens(Iterator[int]):
    """Tokens as they are generated; the last is one of `tokens.end_ids` unless a limit cut the answer off.

    Args:
        model: The model.
        asked: The request as tokens.
        budget: Most tokens of a thought; None for as many as leave room for the answer.
        wanted: Tokens that the caller asks room for; None leaves it to this package.
        cancelled: Set it from another thread to stop within one token.

    Attributes:
        cached_tokens: Tokens of the prompt that did not have to be computed; None before the first token.
        truncated: Whether a thought was closed for its length.

    Raises:
        InputError: No grammar fits what is asked.
        InputTooLongError: The prompt leaves no room for an answer.
    """

    def __init__(
        self,
        model: LlamaModel,
        asked: Asked,
        budget: int | None,
        wanted: int | None,
        cancelled: threading.Event,
    ) -> None:
        model.room_after(asked.prompt.tokens)
        self._model, self._asked, self._cancelled = model, asked, cancelled
        self._ends = end_ids(model)
        find = model.tokenizer.backend_tokenizer.token_to_id
        self._open, self._close = find(OPEN_THINK), find(CLOSE_THINK)
        self._calls = find(OPEN_CALL), find(CLOSE_CALL)
        self._closing = model.encode_prompt(CLOSING)
        self._longest = longest_thought(asked.limit, len(self._closing))
        self._budget = budget
        self._whole = max(_WHOLE, min(wanted, model.affordable_tokens()) if wanted else 0)
        self._lark = self._write_grammar() if asked.constrained else ""
        if self._lark:
            compile_grammar(model, self._lark)  # before anything is written
        self._written: list[int] = []
        self._thought = 0
        self.cached_tokens: int | None = None
        self.truncated = False
        self._tokens = self._write()

    def __next__(self) -> int:
        return next(self._tokens)

    def close(self) -> None:
        """Stop the work within one token."""
        self._tokens.close()

    @property
    def _left(self) -> int:
        return self._asked.limit - len(self._written)

    def _write(self) -> Generator[int]:
        """Write part after part."""
        asked = self._asked
        self._thinking = asked.prompt.opened
        self._blank = not self._thinking  # only blanks so far, so a think block may begin
        if not asked.turn.free and asked.prompt.thinking and not self._thinking:
            yield from self._force(self._model.encode_prompt(f"{OPEN_THINK}\n"))
            self._thinking = True
        while self._left > 0 and not self._cancelled.is_set():
            if self._is_too_long():
                yield from self._force(self._closing)
                self.truncated, self._thinking = True, False
                continue
            before = len(self._written)
            with closing(self._part()) as part:
                for token in part:
                    self._written.append(token)
                    yield token
                    if token in self._ends:
                        return
                    if self._turns(token) or self._is_too_long():
                        break
            if len(self._written) == before or self._is_open():
                return
            if self._written[-1] == self._close and not asked.turn.free:
                yield from self._force(self._model.encode_prompt("\n\n"))

    def _turns(self, token: int) -> bool:
        """Note whether a token opens or closes a thought; returns whether a grammar begins or ends there."""
        changed = token == (self._close if self._thinking else self._open if self._blank else None)
        self._thought += self._thinking and not changed
        self._thinking ^= changed
        self._blank = self._blank and not str(self._model.tokenizer.decode([token])).strip()
        return changed and bool(self._lark)

    def _force(self, tokens: Sequence[int]) -> Iterator[int]:
        """Write tokens without asking the model."""
        for token in tokens[: self._left]:
            self._written.append(token)
            yield token

    def _is_too_long(self) -> bool:
        """Whether a thought has to be closed; one is closed at most."""
        spent = self._budget is not None and self._thought >= self._budget
        too_long = spent or len(self._written) >= self._longest
        return self._thinking and not self.truncated and too_long

    def _is_open(self) -> bool:
        """Whether what is written ends inside a call or an object, where no new part can begin."""
        if not self._lark or self._thinking or self._written[-1] == self._close:
            return False
        if not self._asked.turn.free:
            return True
        opened, closed = self._calls
        if opened is None and self._asked.turn.tools:
            return True  # where tags are not tokens, nobody knows
        tags = [token for token in self._written if token in (opened, closed)]
        return bool(tags) and tags[-1] == opened

    def _write_grammar(self) -> str:
        """Return the grammar of what follows a thought; in free turns, of the thought as well."""
        asked = self._asked
        tags = Tags(self._model.tokenizer)
        lark = turn_grammar(asked.turn, tags, asked.template.dialect, thinking=False, opened=False)
        return without_newer_settings(lark)

    def _part(self) -> Generator[int]:
        """Yield the tokens of one part."""
        model, lark = self._model, "" if self._thinking else self._lark
        matcher = compile_grammar(model, lark) if lark else None
        prompt = [*self._asked.prompt.tokens, *self._written]
        count = min(self._left, self._whole if lark else _PART)
        body = {
            "prompt": prompt,
            "max_tokens": count,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,  # so that a call can be cancelled while it reads
            "grammar": f"%llguidance {{}}\n{lark}" if lark else "",
            **_sampling(self._asked.sampling, written=len(self._written), whole=len(prompt) + count),
        }
        tokens = min(len(prompt) + count + 1, model.context)
        with closing(stream(lambda take: model.complete(tokens, body, take), self._cancelled)) as chunks:
            for chunk in chunks:
                refuse_error(chunk, model.name)
                if self._cancelled.is_set():
                    return
                self._note_usage(chunk)
                for token in _read_tokens(model, chunk):
                    if matcher is not None and token not in self._ends:
                        matcher.accept(token)  # what llama.cpp cannot compile it leaves out without a word
                    yield token

    def _note_usage(self, chunk: dict[str, Any]) -> None:
        """Take the count of cached tokens of the first part; later ones read the answer itself, too."""
        progress = chunk.get("prompt_progress")
        if self.cached_tokens is None and progress is not None:
            self.cached_tokens = int(progress["cache"])


def _sampling(sampling: Sampling, *, written: int, whole: int) -> dict[str, Any]:
    """Return how tokens are chosen, in llama.cpp's words and in the engine's order.

    Args:
        sampling: How.
        written: Tokens of the answer so far.
        whole: Tokens of the prompt and the answer at the end of the part.
    """
    values: dict[str, Any] = {
        "samplers": ["penalties", "temperature", "top_k", "top_p", "min_p"],
        "temperature": sampling.temperature,
        "top_k": sampling.top_k if sampling.temperature else 1,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "presence_penalty": sampling.presence_penalty,
        "repeat_penalty": sampling.repetition_penalty,
        "repeat_last_n": whole if sampling.repetition_penalty != 1 else max(_SAID, written),
        # What is asked for here are the ids of the tokens; those after sampling cost nothing.
        "logprobs": 1,
        "post_sampling_probs": True,
    }
    if sampling.seed is not None:
        values["seed"] = (sampling.seed + written) % (2**32 - 1)  # the last number asks for a random one
    return values


def _read_tokens(model: LlamaModel, chunk: dict[str, Any]) -> list[int]:
    """Return the tokens of a chunk.

    A character of several tokens comes with the id of its last alone; its tokens are those of the text then.
    """
    for choice in chunk.get("choices") or ():
        rows = (choice.get("logprobs") or {}).get("content")
        if not rows:
            continue
        token, text = int(rows[-1]["id"]), choice["text"]
        if text in ("", model.tokenizer.decode([token])):
            return [token]
        return list(model.encode_data([text])[0])
    return []
