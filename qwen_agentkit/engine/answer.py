"""One answer to a chat, from messages to parsed events. Knows the engine and the parser, no LangChain."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from torch import Tensor

from qwen_agentkit.dialects import begin_call
from qwen_agentkit.engine.detokenize import Detokenizer
from qwen_agentkit.engine.generate import Sampling, end_ids, generate
from qwen_agentkit.engine.loading import Loaded
from qwen_agentkit.engine.template import ChatTemplate, Prompt
from qwen_agentkit.parsing import CallEvent, Event, StreamParser
from qwen_agentkit.sampling import recommended
from qwen_agentkit.stops import StopStrings

__all__ = ["Done", "Request", "answer"]

FinishReason = Literal["stop", "length", "tool_calls"]

# The words of Qwen's own guide to thinking budgets; other words would be another model.
_CLOSING = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking "
    "directly now.\n</think>\n\n"
)


@dataclass(frozen=True)
class Request:
    """What is asked of the model.

    Attributes:
        messages: With role and content, as chat templates expect them.
        tools: Tool schemas in the OpenAI form.
        forced_call: Whether the answer has to begin with a tool call.
        forced_tool: The tool it has to call; None lets the model choose.
        thinking: Whether to think first; None leaves it to the checkpoint.
        thinking_budget: Most tokens of thought.
        sampling: Fields of `Sampling` that replace the recommended ones; None values do not.
        max_tokens: Most tokens of the whole answer.
        stop: Strings that end the answer; they do not count inside thoughts.
    """

    messages: Sequence[dict[str, Any]]
    tools: Sequence[dict[str, Any]] = ()
    forced_call: bool = False
    forced_tool: str | None = None
    thinking: bool | None = None
    thinking_budget: int | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    max_tokens: int | None = None
    stop: Sequence[str] = ()


@dataclass(frozen=True)
class Done:
    """The end of an answer.

    Attributes:
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens written, thoughts and the one that ends the turn included.
        reasoning_tokens: Those of them inside the think block.
        finish_reason: Why it ended.
        thinking_truncated: Whether a thought was cut off, by its budget or by `max_tokens`.
    """

    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    finish_reason: FinishReason
    thinking_truncated: bool


def answer(loaded: Loaded, request: Request, cancelled: threading.Event) -> Iterator[Event | Done]:
    """Answer a chat: events while the model writes, then one `Done`.

    Args:
        loaded: A chat checkpoint.
        request: What is asked.
        cancelled: Set it from another thread to stop within one forward.

    Raises:
        InputError: The messages do not fit the template, or not the context.
        ModelUnsupportedError: The checkpoint cannot do what is asked.
    """
    template = ChatTemplate(loaded)
    prompt = template.prompt(request.messages, request.tools, thinking=request.thinking)
    call = begin_call(template.dialect, request.forced_tool) if request.forced_call else ""
    guide = _Guide(loaded, prompt, budget=request.thinking_budget, call=call)
    tokens = generate(
        loaded,
        prompt.tokens,
        _sampling(loaded, request, thinking=prompt.thinking, usual=prompt.thinking == template.thinks),
        max_tokens=request.max_tokens,
        guide=guide,
        cancelled=cancelled,
    )
    parser = StreamParser(thinking=prompt.opened, tools=request.tools)
    stops, detokenizer, ends = StopStrings(request.stop), Detokenizer(loaded.tokenizer), end_ids(loaded)
    written = reasoning = calls = 0
    ended = False
    with closing(tokens):
        for token in tokens:
            written += 1
            ended = token in ends
            if ended:
                break
            thought = parser.in_thought
            piece = detokenizer.feed(token)
            events = parser.feed(stops.release() + piece if thought else stops.feed(piece))
            reasoning += thought or parser.in_thought
            calls += sum(isinstance(event, CallEvent) for event in events)
            yield from events
            if stops.reached:
                ended = True
                break
    cut_thought = parser.in_thought and not ended
    last = [*parser.feed(stops.release()), *parser.close()]
    calls += sum(isinstance(event, CallEvent) for event in last)
    yield from last
    reason: FinishReason = "length" if not ended else "tool_calls" if calls else "stop"
    yield Done(len(prompt.tokens), written, reasoning, reason, guide.truncated or cut_thought)


def _sampling(loaded: Loaded, request: Request, *, thinking: bool, usual: bool) -> Sampling:
    config = loaded.model.generation_config
    row = recommended(
        loaded.model.config.model_type,
        thinking=thinking,
        usual=usual,
        generation_config=config.to_dict() if config is not None else {},
    )
    given = {name: value for name, value in request.sampling.items() if value is not None}
    return Sampling(**{**asdict(row), **given})


class _Guide:
    """Closes a thought that outgrows its budget, and begins the tool call that was asked for.

    Attributes:
        truncated: Whether the budget closed the thought.
    """

    def __init__(self, loaded: Loaded, prompt: Prompt, *, budget: int | None, call: str) -> None:
        self._encode = loaded.encode_prompt
        find = loaded.tokenizer.backend_tokenizer.token_to_id
        self._open, self._close = find("<think>"), find("</think>")
        self._prompt = prompt
        self._budget = budget
        self._call = call
        self._thinking = prompt.opened
        self._spent = 0
        self.truncated = False

    def start(self) -> list[int]:
        """Begin the call, or the thought that has to come before it."""
        if not self._prompt.thinking:
            return self._encode(self._call)
        if self._call and not self._prompt.opened:
            # Left to itself the model may skip the thought, and with it the place where the call begins.
            self._thinking = True
            return self._encode("<think>\n")
        return self._within_budget()

    def after(self, token: int) -> list[int]:
        """Follow the model's tokens through its thought."""
        if token == self._open:
            self._thinking = True
        elif self._thinking and token == self._close:
            self._thinking = False
            return self._encode("\n\n" + self._call) if self._call else []
        elif self._thinking:
            self._spent += 1
        return self._within_budget()

    def mask(self, logits: Tensor) -> None:
        """Forbid nothing."""

    def _within_budget(self) -> list[int]:
        if not self._thinking or self._budget is None or self._spent < self._budget:
            return []
        self._thinking, self.truncated = False, True
        return self._encode(_CLOSING + self._call)
