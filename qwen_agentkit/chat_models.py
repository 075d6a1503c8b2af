"""`ChatQwen`: a Qwen chat checkpoint as a LangChain chat model. Knows LangChain and the engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import AliasChoices, ConfigDict, Field, PrivateAttr, SecretStr, field_validator

from qwen_agentkit.catalog import CHECKPOINTS, PRESETS, preset_checkpoint
from qwen_agentkit.engine.answer import Request, answer
from qwen_agentkit.engine.loading import Loaded, load
from qwen_agentkit.errors import InputError
from qwen_agentkit.messages import from_events, to_template
from qwen_agentkit.structured import (
    Method,
    ask_for_json,
    call_parser,
    json_parser,
    response_format,
    with_parser,
)

__all__ = ["ChatQwen"]

Tool = dict[str, Any] | type | Callable[..., Any] | BaseTool


class ChatQwen(BaseChatModel):
    """A Qwen chat model, in this process.

    Thoughts come apart from the answer, in `additional_kwargs["reasoning_content"]`, and tool calls in
    `tool_calls`; the finish reason stands in `response_metadata`. Every setting can be given for one call,
    too: `llm.invoke("Hello", thinking=False)`. Weights load at the first call and are shared by everything
    in the process that uses them.

    Example:
        >>> llm = ChatQwen(model="0.6b", thinking=False)
        >>> message = llm.invoke("Say hello in Arabic.", temperature=0)
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    model: str = Field(default="Qwen/Qwen3-0.6B", validation_alias=AliasChoices("model", "model_name"))
    """Hub id, local folder, or a preset: "nano", "0.6b", "4b", "8b"."""

    thinking: bool | None = None
    """Think before answering; None leaves it to the checkpoint."""

    thinking_budget: int | None = Field(default=None, ge=0)
    """Most tokens of thought; then the thought is closed and the answer begins. None: no limit."""

    temperature: float | None = Field(default=None, ge=0)
    """Randomness; 0 takes the likeliest token. None, here and below: what the model's makers recommend."""

    top_p: float | None = Field(default=None, ge=0, le=1)
    """Share of the probability mass to choose from, 0..1."""

    top_k: int | None = Field(default=None, ge=0)
    """Number of tokens to choose from; 0 for all."""

    min_p: float | None = Field(default=None, ge=0, le=1)
    """Smallest probability to choose, as a share of the largest, 0..1."""

    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    """Discourages tokens that the answer holds already, -2..2."""

    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of an answer, thoughts included. None: as many as the context has room for."""

    stop: list[str] | None = None
    """Strings that end the answer, which does not include them. Thoughts may."""

    seed: int | None = None
    """Makes answers repeatable."""

    revision: str | None = None
    """Commit, tag or branch on the hub."""

    device: str | None = None
    """Such as "cpu" or "cuda:0"; by default the best there is."""

    dtype: str | None = None
    """Such as "bfloat16"; by default the fastest that is accurate here."""

    streaming: bool = False
    """Stream to callbacks on `invoke`, too."""

    timeout: float | None = None
    """Accepted as in other chat models; in this process there is no connection to time out."""

    max_retries: int | None = None
    """Accepted as in other chat models; in this process there is no request to retry."""

    api_key: SecretStr | None = None
    """Accepted as in other chat models; in this process there is nothing to log in to."""

    # Weights in use, kept alive and shared with the copies made for single calls.
    _held: dict[tuple[str | None, ...], Loaded] = PrivateAttr(default_factory=dict)

    @field_validator("model")
    @classmethod
    def _resolve_preset(cls, model: str) -> str:
        return preset_checkpoint(model, "chat") if model in PRESETS else model

    @field_validator("stop")
    @classmethod
    def _check_stop(cls, stop: list[str] | None) -> list[str] | None:
        if stop and "" in stop:
            raise InputError(
                f"stop={stop!r} holds an empty string, which would end every answer. Leave it out."
            )
        return stop

    def bind_tools(
        self,
        tools: Sequence[Tool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the model.

        Args:
            tools: Functions, LangChain tools, pydantic classes, TypedDicts or JSON schemas.
            tool_choice: "auto" or None lets the model choose, "none" hides the tools, "any" begins the answer
                with a call, and a tool's name with a call of that tool.
            strict: Written into the tool schemas.
            **kwargs: Settings for the calls.

        Raises:
            InputError: The choice is none of the tools.
        """
        schemas = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        choice = _choice(tool_choice, [schema["function"]["name"] for schema in schemas])
        return self.bind(tools=schemas, tool_choice=choice, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Method = "function_calling",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a model that answers with an object.

        Args:
            schema: A pydantic class, which validates the answer, or a TypedDict or JSON schema.
            method: "function_calling" asks for a tool call, "json_schema" for JSON with the schema in the
                prompt, "json_mode" for JSON as your own prompt describes it.
            include_raw: Return `{"raw", "parsed", "parsing_error"}` instead of raising.
            strict: Written into the tool schema.
            **kwargs: Settings for the calls.

        Raises:
            InputError: There is no such method.
        """
        if method not in ("function_calling", "json_schema", "json_mode"):
            raise InputError(
                f"Unknown method {method!r}; expected 'function_calling', 'json_schema' or 'json_mode'."
            )
        traced = {"ls_structured_output_format": {"kwargs": {"method": method}, "schema": schema}}
        if method == "function_calling":
            calling = self.bind_tools([schema], tool_choice="any", strict=strict, **traced, **kwargs)
            return with_parser(calling, call_parser(schema), include_raw=include_raw)
        writing = self.bind(response_format=response_format(schema, method), **traced, **kwargs)
        return with_parser(writing, json_parser(schema), include_raw=include_raw)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from self._answer(messages, stop, kwargs, threading.Event())

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        cancelled = threading.Event()
        queue: asyncio.Queue[ChatGenerationChunk | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def work() -> None:
            try:
                for chunk in self._answer(messages, stop, kwargs, cancelled):
                    loop.call_soon_threadsafe(queue.put_nowait, chunk)
            finally:
                loop.call_soon_threadsafe(queue.put_nowait, None)

        worker = loop.run_in_executor(None, work)
        try:
            while (chunk := await queue.get()) is not None:
                yield chunk
            await worker  # raises what went wrong in it
        finally:
            cancelled.set()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))

    def _answer(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        given: dict[str, Any],
        cancelled: threading.Event,
    ) -> Iterator[ChatGenerationChunk]:
        given = dict(given)
        tools = [convert_to_openai_tool(tool) for tool in given.pop("tools", None) or ()]
        choice = _choice(given.pop("tool_choice", None), [tool["function"]["name"] for tool in tools])
        wanted = given.pop("response_format", None)
        settings = self._with(given if stop is None else {**given, "stop": stop})
        request = Request(
            messages=to_template(ask_for_json(messages, wanted) if wanted else messages),
            tools=[] if choice == "none" else tools,
            forced_call=choice not in (None, "auto", "none"),
            forced_tool=None if choice in (None, "auto", "none", "any") else choice,
            thinking=settings.thinking,
            thinking_budget=settings.thinking_budget,
            sampling={name: getattr(settings, name) for name in _SAMPLING},
            max_tokens=settings.max_tokens,
            stop=settings.stop or (),
        )
        events = answer(settings._load(), request, cancelled)
        for chunk in from_events(events, settings.model):
            yield ChatGenerationChunk(message=chunk)

    def _with(self, given: dict[str, Any]) -> ChatQwen:
        """Return this model with the settings of one call, checked like those of the constructor."""
        if not given:
            return self
        if unknown := given.keys() - _SETTINGS:
            raise InputError(
                f"Unknown setting {sorted(unknown)[0]!r}; expected one of {', '.join(sorted(_SETTINGS))}."
            )
        changed = ChatQwen(**{**{name: getattr(self, name) for name in _SETTINGS}, **given})
        changed._held = self._held
        return changed

    def _load(self) -> Loaded:
        key = (self.model, self.revision, self.device, self.dtype)
        if key not in self._held:
            self._held[key] = load(self.model, revision=self.revision, device=self.device, dtype=self.dtype)
        return self._held[key]

    def _resolve_model_profile(self) -> ModelProfile | None:
        row = next((row for row in CHECKPOINTS if row.name == self.model), None)
        if row is None:
            return None
        return ModelProfile(
            name=row.name,
            open_weights=True,
            max_input_tokens=row.context,
            text_inputs=True,
            text_outputs=True,
            image_inputs=False,
            audio_inputs=False,
            video_inputs=False,
            reasoning_output=True,
            tool_calling=True,
            tool_choice=True,
            structured_output=False,  # asked for, not yet guaranteed: agents then use a tool call
            temperature=True,
        )

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = "qwen-agentkit"
        return params

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in sorted(_SETTINGS)}

    @property
    def _llm_type(self) -> str:
        return "qwen-agentkit"


_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "seed")

_SETTINGS = frozenset(
    (*_SAMPLING, "model", "thinking", "thinking_budget", "max_tokens", "stop", "revision", "device", "dtype")
)


def _choice(choice: str | bool | dict[str, Any] | None, names: Sequence[str]) -> str | None:
    """Bring what callers of other chat models write to "auto", "none", "any" or a tool's name."""
    if isinstance(choice, dict):
        choice = choice.get("function", choice).get("name")
    if not choice:
        return None
    if choice in (True, "any", "required") and names:
        return names[0] if len(names) == 1 else "any"
    if isinstance(choice, str) and choice in ("auto", "none", *names):
        return choice
    raise InputError(
        f"tool_choice={choice!r} is not among the tools ({', '.join(names) or 'there are none'}); "
        "expected one of them, or 'auto', 'any' or 'none'."
    )
