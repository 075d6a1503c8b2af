"""The chat template of a checkpoint: its abilities, and chats rendered to token ids. Knows no model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from jinja2 import TemplateError

from qwen_agentkit.chat.dialects import Dialect
from qwen_agentkit.chat.history import inline_thoughts, mark_thoughts, restore_thoughts, split_thoughts
from qwen_agentkit.chat.tags import CLOSE_THINK, OPEN_FUNCTION, OPEN_THINK, think_block
from qwen_agentkit.engine.checkpoint.jinja import compile_template
from qwen_agentkit.engine.checkpoint.tokenizer import Tokenizer
from qwen_agentkit.engine.checkpoint.vocabulary import Vocabulary
from qwen_agentkit.errors import InputError, ModelUnsupportedError

__all__ = ["ChatTemplate", "Prompt", "chat_template"]

_TURN = "<|im_start|>assistant\n"

# Put inside control tokens in texts of users, so that they are encoded as text. Two code points that Unicode
# reserves for internal use, so that no text has them.
_SEAM = "\ufdd0\ufdd1"

# Values of `reasoning_effort` in templates, from the least to the most.
_EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")

_SWITCH = re.compile(r"(?<!\S)/(no_)?think(?![\w/])")


@dataclass(frozen=True)
class Prompt:
    """A rendered chat.

    Attributes:
        tokens: Token ids, up to where the model goes on.
        thinking: Whether the model will think first.
        opened: Whether the prompt itself opened the think block.
    """

    tokens: list[int]
    thinking: bool
    opened: bool


class ChatTemplate:
    """Renders chats for one checkpoint.

    The abilities of the checkpoint are read from how its template renders small chats, never from its name.
    `chat_template` keeps one of these for each loaded checkpoint.

    Attributes:
        can_think: Whether it can think.
        can_skip: Whether it can answer without thinking.
        thinks: Whether it thinks by default.
        has_soft_switch: Whether `/think` and `/no_think` in a message switch its thinking.
        replays: Whether the template itself can show the thoughts of earlier turns.
        efforts: Values of `reasoning_effort` that it accepts, from the least to the most.
        dialect: How it writes tool calls.

    Raises:
        ModelUnsupportedError: The checkpoint has no chat template.
    """

    def __init__(self, loaded: Vocabulary) -> None:
        self._name = loaded.name
        self._tokenizer: Tokenizer = loaded.tokenizer  # not `loaded`, which would never be freed
        source = self._tokenizer.chat_template
        if not source:
            raise ModelUnsupportedError(
                f"{loaded.name!r} has no chat template; expected a chat checkpoint like 'Qwen/Qwen3-0.6B'. "
                "Embedders and rerankers have their own classes, QwenEmbeddings and QwenReranker."
            )
        self._template = compile_template(source)
        on, off, default = (
            _tail(self._render([_HELLO], [], self._variables(thinking=thinking)))
            for thinking in (True, False, None)
        )
        self.can_think = on != off or _opens(on)
        self.can_skip = not _opens(off)
        self.thinks = self.can_think and CLOSE_THINK not in default
        # Later hybrids open the think block themselves, and were not trained on the soft switch.
        self.has_soft_switch = self.can_think and self.can_skip and not _opens(on)
        self.replays = "preserve_thinking" in source
        self.efforts = tuple(word for word in _EFFORTS if _names(source, "reasoning_effort", word))
        self.dialect: Dialect = "xml" if OPEN_FUNCTION in source else "json"
        self._inline = self.can_think and self._splits_inline_thoughts()
        self._control_tokens = _match_control_tokens(self._tokenizer)

    def prompt(
        self,
        messages: Sequence[dict[str, Any]],
        tools: Sequence[dict[str, Any]] = (),
        *,
        thinking: bool | None = None,
        reasoning_effort: str | None = None,
        keep_thoughts: bool | None = None,
    ) -> Prompt:
        """Render a chat.

        Tokens such as `<|im_end|>` or `</think>` in messages or tools are encoded as plain text, so that a
        document cannot end a turn or forge a call. A thought at the beginning of an assistant's content is
        taken as its `reasoning_content`.

        Args:
            messages: Messages with role and content, as chat templates expect them.
            tools: Tool schemas in the OpenAI form.
            thinking: Whether to think; None is the default of the checkpoint. Unless it is False, the last
                `/think` or `/no_think` in user and system messages wins, in families that have them.
            reasoning_effort: One of `efforts`.
            keep_thoughts: Whether the thoughts of earlier turns stay in the prompt. True renders each turn as
                the model wrote it, so that a prompt begins with the whole last prompt and its answer, and
                their keys and values are used again. None is the way of the family.

        Raises:
            ModelUnsupportedError: The checkpoint cannot do what is asked.
            InputError: The template refuses the messages, or the effort is unknown.
        """
        self._check(thinking, reasoning_effort)
        if self.has_soft_switch and thinking is not False:
            thinking = _last_switch(messages, thinking)
        turns = _map_strings(split_thoughts(messages), self._defuse)
        schemas = _map_strings(tools, self._defuse)
        variables = self._variables(thinking, reasoning_effort, keep_thoughts)
        if keep_thoughts and self.can_think and not self.replays:
            text = restore_thoughts(self._render(mark_thoughts(turns), schemas, variables), turns)
        else:
            text = self._render(inline_thoughts(turns) if self._inline else turns, schemas, variables)
        parts = _replace_surrogates(text).split(_SEAM)
        return Prompt(
            tokens=[token for part in parts for token in self._tokenizer.encode(part)],
            thinking=self.thinks if thinking is None else thinking,
            opened=_opens(_tail(text)),
        )

    def _check(self, thinking: bool | None, effort: str | None) -> None:
        name = self._name
        if thinking and not self.can_think:
            raise ModelUnsupportedError(
                f"thinking=True, but {name!r} is an instruct checkpoint, which cannot think. "
                "Leave thinking unset, or choose a checkpoint that thinks, such as 'Qwen/Qwen3-0.6B'."
            )
        if thinking is False and not self.can_skip:
            raise ModelUnsupportedError(
                f"thinking=False, but {name!r} always thinks. "
                "Leave thinking unset, or choose a checkpoint with a switch, such as 'Qwen/Qwen3-0.6B'."
            )
        if effort is not None and not self.efforts:
            has = "; it has thinking and thinking_budget" if self.can_think else ", which does not think"
            raise ModelUnsupportedError(
                f"reasoning_effort={effort!r}, but there is no such setting in {name!r}{has}. "
                "Leave reasoning_effort unset."
            )
        if effort is not None and effort not in self.efforts:
            raise InputError(
                f"reasoning_effort={effort!r} is unknown to {name!r}; expected one of "
                f"{', '.join(self.efforts)}."
            )

    def _variables(
        self, thinking: bool | None = None, effort: str | None = None, keep: bool | None = None
    ) -> dict[str, Any]:
        """Return the variables of the template that are set; the others keep the template's defaults."""
        values = {"enable_thinking": thinking, "reasoning_effort": effort, "preserve_thinking": keep}
        return {name: value for name, value in values.items() if value is not None}

    def _render(
        self,
        messages: Sequence[dict[str, Any]],
        tools: Sequence[dict[str, Any]],
        variables: Mapping[str, Any],
    ) -> str:
        try:
            return self._template.render(
                **self._tokenizer.special_tokens_map,
                # Templates tell a field that is absent from one that is there, not from one that is None.
                messages=[_without_none(message) for message in messages],
                tools=list(tools) or None,
                documents=None,
                add_generation_prompt=True,
                **variables,
            )
        except TemplateError as error:
            raise InputError(
                f"The chat template of {self._name!r} refuses these messages: {error}. "
                "Expected system first, then user and assistant in turn."
            ) from error

    def _splits_inline_thoughts(self) -> bool:
        """Whether the template looks for thoughts in the content, and for none in `reasoning_content`."""
        calling = {"role": "assistant", "content": "", "tool_calls": [_CALL]}
        apart, inside = {"reasoning_content": _THOUGHT}, {"content": think_block(_THOUGHT)}
        if self._shows_thought([_HELLO, {**calling, **apart}, _RESULT]):
            return False
        return self._shows_thought([_HELLO, {**calling, **inside}, _RESULT]) and not self._shows_thought(
            [_HELLO, {**calling, **inside}, _RESULT, _HELLO]
        )

    def _shows_thought(self, messages: Sequence[dict[str, Any]]) -> bool:
        try:
            return _THOUGHT in self._render(messages, [], {})
        except InputError:
            return False  # the template refuses such chats, so it never gets them

    def _defuse(self, text: str) -> str:
        """Put a seam inside each control token of a text; prompts are split at seams before encoding."""
        return self._control_tokens.sub(lambda found: found[0][0] + _SEAM + found[0][1:], text)


_HELLO = {"role": "user", "content": "Hello"}
_CALL = {"type": "function", "function": {"name": "look", "arguments": {}}}
_RESULT = {"role": "tool", "content": "Hello"}
_THOUGHT = "Hm, hm."


_templates: WeakKeyDictionary[Vocabulary, ChatTemplate] = WeakKeyDictionary()


def chat_template(loaded: Vocabulary) -> ChatTemplate:
    """Return the chat template of a checkpoint, whose abilities are found out once.

    Raises:
        ModelUnsupportedError: The checkpoint has no chat template.
    """
    template = _templates.get(loaded)
    if template is None:
        template = _templates[loaded] = ChatTemplate(loaded)
    return template


def _without_none(message: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if value is not None}


def _match_control_tokens(tokenizer: Tokenizer) -> re.Pattern[str]:
    """Return a pattern of the tokens that texts of users may not contain, and of our own marks.

    Many of these, like `</think>`, are not special to the tokenizer. Plain words that were added to the
    vocabulary stay tokens.
    """
    added = tokenizer.added_tokens_decoder.values()
    tokens = [t.content for t in added if t.special or (t.content[0] == "<" and t.content[-1] == ">")]
    # The longest first: a token may begin with another.
    return re.compile("|".join([_SEAM, "\ufdd2", *map(re.escape, sorted(tokens, key=len, reverse=True))]))


def _names(source: str, variable: str, value: str) -> bool:
    return variable in source and re.search(rf"['\"]{value}['\"]", source) is not None


def _last_switch(messages: Sequence[dict[str, Any]], default: bool | None) -> bool | None:
    """Return whether the last switch in the messages turns thinking on or off; `default` without a switch.

    Only user and system messages count; results of tools switch nothing. A passage pasted into a user message
    cannot be told apart from the user's own words.
    """
    for message in reversed(messages):
        if message["role"] in ("user", "system") and (found := _SWITCH.findall(message["content"])):
            # With thinking on, "/no_think" makes the model write an empty think block. Rendered as "off",
            # the prompt holds that very block already.
            return not found[-1]
    return default


def _replace_surrogates(text: str) -> str:
    """Return the text with U+FFFD for lone surrogates, which no tokenizer accepts."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _tail(text: str) -> str:
    """Return what the template wrote after the beginning of the assistant's turn."""
    return text.rpartition(_TURN)[2]


def _opens(tail: str) -> bool:
    return tail.rstrip().endswith(OPEN_THINK)


def _map_strings(value: Any, change: Callable[[str], str]) -> Any:
    """Return a copy of plain data with `change` applied to every string in it."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_map_strings(key, change): _map_strings(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_map_strings(item, change) for item in value]
    return value
