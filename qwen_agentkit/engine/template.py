"""The chat template of a checkpoint: what it can do, and chats rendered to token ids. Knows no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from qwen_agentkit.dialects import Dialect
from qwen_agentkit.engine.loading import Loaded
from qwen_agentkit.errors import InputError, ModelUnsupportedError

__all__ = ["ChatTemplate", "Prompt"]

_TURN = "<|im_start|>assistant\n"

# Two code points that Unicode keeps out of texts.
_SEAM = "\ufdd0\ufdd1"


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

    What the checkpoint can do is read from how its template ends a prompt with thinking on, off and unsaid.

    Attributes:
        can_think: Whether it can think.
        can_skip: Whether it can answer without thinking.
        thinks: Whether it thinks when nobody says.
        dialect: How it writes tool calls.

    Raises:
        ModelUnsupportedError: The checkpoint has no chat template.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        if not loaded.tokenizer.chat_template:
            raise ModelUnsupportedError(
                f"{loaded.name!r} has no chat template; expected a chat checkpoint like 'Qwen/Qwen3-0.6B'. "
                "Embedders and rerankers have their own classes, QwenEmbeddings and QwenReranker."
            )
        on, off, unsaid = (_tail(self._render([_HELLO], [], thinking)) for thinking in (True, False, None))
        self.can_think = on != off or _opens(on)
        self.can_skip = not _opens(off)
        self.thinks = self.can_think and "</think>" not in unsaid
        self.dialect: Dialect = "xml" if "<function=" in str(loaded.tokenizer.chat_template) else "json"

    def prompt(
        self,
        messages: Sequence[dict[str, Any]],
        tools: Sequence[dict[str, Any]] = (),
        *,
        thinking: bool | None = None,
    ) -> Prompt:
        """Render a chat.

        Special tokens spelled out in messages or tools are read as plain text, so that a document cannot end
        a turn and begin another.

        Args:
            messages: With role and content, as chat templates expect them.
            tools: Tool schemas in the OpenAI form.
            thinking: Whether to think; None leaves it to the checkpoint.

        Raises:
            ModelUnsupportedError: The checkpoint cannot do what is asked.
            InputError: The template refuses the messages.
        """
        if thinking and not self.can_think:
            raise ModelUnsupportedError(
                f"thinking=True, but {self._loaded.name!r} is an instruct checkpoint, which cannot think. "
                "Leave thinking unset, or choose a checkpoint that thinks, such as 'Qwen/Qwen3-0.6B'."
            )
        if thinking is False and not self.can_skip:
            raise ModelUnsupportedError(
                f"thinking=False, but {self._loaded.name!r} always thinks. "
                "Leave thinking unset, or choose a checkpoint with a switch, such as 'Qwen/Qwen3-0.6B'."
            )
        text = self._render(_map_strings(messages, self._seam), _map_strings(tools, self._seam), thinking)
        return Prompt(
            tokens=[token for part in text.split(_SEAM) for token in self._loaded.encode_prompt(part)],
            thinking=self.thinks if thinking is None else thinking,
            opened=_opens(_tail(text)),
        )

    def _render(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]], thinking: bool | None
    ) -> str:
        switch: dict[str, Any] = {} if thinking is None else {"enable_thinking": thinking}
        conversation: Any = list(messages)  # transformers types it too narrowly
        try:
            return str(
                self._loaded.tokenizer.apply_chat_template(
                    conversation,
                    tools=list(tools) or None,
                    add_generation_prompt=True,
                    tokenize=False,
                    **switch,
                )
            )
        except TemplateError as error:
            raise InputError(
                f"The chat template of {self._loaded.name!r} refuses these messages: {error}. "
                "Expected system first, then user and assistant in turn."
            ) from error

    def _seam(self, text: str) -> str:
        """Put a seam inside each special token of the text; prompts are encoded seam by seam."""
        for token in self._loaded.tokenizer.added_tokens_decoder.values():
            if token.special:
                text = text.replace(token.content, token.content[0] + _SEAM + token.content[1:])
        return text


_HELLO = {"role": "user", "content": "Hello"}


def _tail(text: str) -> str:
    """What the template wrote after it opened the assistant's turn."""
    return text.rpartition(_TURN)[2]


def _opens(tail: str) -> bool:
    return tail.rstrip().endswith("<think>")


def _map_strings(value: Any, change: Callable[[str], str]) -> Any:
    """Copy plain data with every string in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_map_strings(key, change): _map_strings(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_map_strings(item, change) for item in value]
    return value
