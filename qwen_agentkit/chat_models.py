"""`ChatQwen`: a Qwen chat checkpoint as a LangChain chat model. Knows LangChain, the engine and servers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.exceptions import ContextOverflowError
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import add_usage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import AliasChoices, ConfigDict, Field, PrivateAttr, ValidationError
from typing_extensions import Self

from qwen_agentkit.backends.chat_settings import (
    CONNECTION_SETTINGS,
    SAMPLING,
    SETTINGS,
    ChatSettings,
    describe,
)
from qwen_agentkit.catalog import Role
from qwen_agentkit.chat.attempts import check_attempts
from qwen_agentkit.chat.messages import REASONS, from_events, to_template, with_reasons
from qwen_agentkit.chat.parsing import Event
from qwen_agentkit.chat.profiles import profile_of
from qwen_agentkit.chat.request import Done, Request
from qwen_agentkit.chat.structured import (
    PARSED,
    Method,
    answer_schema,
    ask_for_json,
    call_parser,
    check_fault,
    is_parsed,
    is_strict,
    json_parser,
    with_parser,
)
from qwen_agentkit.chat.structured import response_format as as_response_format
from qwen_agentkit.chat.threads import side_by_side, stream_from_thread
from qwen_agentkit.chat.tool_choice import ToolChoice, forbids_parallel, read_choice
from qwen_agentkit.chat.tools import Tool, read_tools
from qwen_agentkit.errors import InputError, InputTooLongError, ServerUnsupportedError
from qwen_agentkit.server.address import shown_address
from qwen_agentkit.server.chat import ChatServer

if TYPE_CHECKING:
    from qwen_agentkit.engine.checkpoint.loading import Loaded
    from qwen_agentkit.engine.llama.model import LlamaModel

__all__ = ["ChatQwen"]


class PromptTooLongError(InputTooLongError, ContextOverflowError):
    """The messages do not fit the context. LangChain's summarizing agents catch its second base class."""


class ChatQwen(ChatSettings, BaseChatModel):
    """A Qwen chat model, in this process, or with `base_url` behind an OpenAI-compatible server.

    Thoughts are kept apart from the answer, in `additional_kwargs["reasoning_content"]`. Tool calls are in
    `tool_calls` and the finish reason is in `response_metadata`. Every setting can also be given for one
    call: `llm.invoke("Hello", thinking=False)`. Weights load at the first call and are shared by everything
    in the process that uses them.

    Example::

        llm = ChatQwen(model="0.6b", thinking=False)
        message = llm.invoke("Say hello in Arabic.", temperature=0)
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    role: ClassVar[Role] = "chat"
    local_settings: ClassVar[tuple[str, ...]] = (
        *("revision", "device", "dtype", "engine", "adapter", "quantize", "context_window", "keep_alive"),
    )

    model: str = Field(default="Qwen/Qwen3-0.6B", validation_alias=AliasChoices("model", "model_name"))
    """Hub id, local folder, GGUF file, or a preset: "nano", "0.6b", "4b", "8b"."""

    streaming: bool = False
    """Whether `invoke` also streams to callbacks."""

    base_url: str | None = None
    """Address of an OpenAI-compatible server, such as "http://localhost:8000/v1", that has the model under
    the name `model`. None: in this process.

    A setting that the server does not support is an error and never dropped. Sampling values that are not
    set are the makers' recommendation if the model's name tells its family, and the server's defaults
    otherwise. Texts are sent unchanged: the server decides how it reads tokens such as `<|im_end|>` in
    them."""

    server: str | None = None
    """Kind of server: "vllm", "sglang", "ollama", "llama.cpp", "llama-cpp-python", "lmstudio",
    "transformers", or "openai" for any other. None asks it, once."""

    timeout: float | None = Field(default=None, gt=0)
    """With `base_url`: seconds of silence after which a request is given up. None: 600. llama-cpp-python is
    silent on `invoke` until its answer is whole."""

    # Weights in use, kept alive and shared with the copies made for single calls; servers likewise.
    _held: dict[tuple[str | int | None, ...], Loaded | LlamaModel] = PrivateAttr(default_factory=dict)
    _asked: dict[tuple[object, ...], ChatServer] = PrivateAttr(default_factory=dict)

    def bind_tools(
        self,
        tools: Sequence[Tool],
        *,
        tool_choice: ToolChoice = None,
        parallel_tool_calls: bool | None = None,
        response_format: dict[str, Any] | type | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the model.

        A grammar forces every call to name an offered tool and its arguments to fit their schemas.

        Args:
            tools: Functions, LangChain tools, pydantic classes, TypedDicts or JSON schemas.
            tool_choice: "auto" or None lets the model choose, "none" hides the tools, "any" makes the answer
                one or more calls, and a tool, or its name, calls of it. Forms of OpenAI and Anthropic
                are read, too.
            parallel_tool_calls: False allows one call at most in a turn.
            response_format: Schema of an answer that is not a tool call: a pydantic class, a TypedDict, a
                JSON schema, or a format in the OpenAI form.
            strict: Written into the tool schemas; True refuses a schema that a grammar cannot hold wholly.
                Otherwise what it cannot hold is checked when the call is there, and a warning says so.
            **kwargs: Settings for the calls.

        Raises:
            InputError: One of them is no tool, or `tool_choice` names none of them.
        """
        schemas = read_tools(tools, strict=strict)
        choice = read_choice(tool_choice, [schema["function"]["name"] for schema in schemas])
        if parallel_tool_calls is None and forbids_parallel(tool_choice):
            parallel_tool_calls = False
        if parallel_tool_calls is not None:
            kwargs["parallel_tool_calls"] = parallel_tool_calls
        if response_format is not None:
            kwargs["response_format"] = as_response_format(response_format)
        return self.bind(tools=schemas, tool_choice=choice, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a model that answers with an object.

        A grammar forces the answer, after the thought if there is one, to fit the schema. Only `max_tokens`
        and stop strings can cut it short, and then it is an error.

        Args:
            schema: A pydantic class, which validates the answer, or a TypedDict or JSON schema.
            method: "json_schema" asks for JSON, with the schema in the prompt, "function_calling" for a tool
                call, "json_mode" for any JSON object, as your own prompt describes it.
            include_raw: Return `{"raw", "parsed", "parsing_error"}` instead of raising.
            strict: Refuse a schema that a grammar cannot hold wholly. Otherwise what it cannot hold is
                checked when the answer is there, and a warning says so.
            **kwargs: Settings for the calls.

        Raises:
            InputError: `method` is unknown.
        """
        if method not in ("function_calling", "json_schema", "json_mode"):
            raise InputError(
                f"Unknown method {method!r}; expected 'function_calling', 'json_schema' or 'json_mode'."
            )
        traced: dict[str, Any] = {
            "ls_structured_output_format": {"kwargs": {"method": method}, "schema": schema}
        }
        if method == "function_calling":
            kwargs = {"parallel_tool_calls": False, **kwargs}
            kwargs = {**traced, **kwargs, PARSED: True}
            calling = self.bind_tools([schema], tool_choice="any", strict=strict, **kwargs)
            return with_parser(calling, call_parser(schema), include_raw=include_raw)
        wanted = as_response_format(schema, method, strict=strict)
        writing = self.bind(response_format={**wanted, PARSED: True}, **traced, **kwargs)
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
        async for chunk in stream_from_thread(partial(self._answer, messages, stop, kwargs)):
            yield chunk

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        def work(given: dict[str, Any], cancelled: threading.Event) -> ChatResult:
            chunks = self._answer(messages, stop, given, cancelled, streams=False)
            return with_reasons(generate_from_stream(chunks))

        if len(several := self._split_answers(kwargs)) == 1:
            return work(several[0], threading.Event())
        return _join_results(side_by_side([partial(work, given) for given in several]))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        works = [
            partial(self._answer, messages, stop, given, streams=False)
            for given in self._split_answers(kwargs)
        ]
        answers = [asyncio.ensure_future(agenerate_from_stream(stream_from_thread(work))) for work in works]
        try:
            return _join_results([with_reasons(result) for result in await asyncio.gather(*answers)])
        finally:
            for answer in answers:  # if one has failed, the others are not needed
                answer.cancel()

    def _split_answers(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the settings of each answer to write."""
        settings = self._with_settings({name: given[name] for name in ("n", "seed") if name in given})
        n, seed = settings.n, settings.seed
        if n == 1:
            return [given]
        return [{**given, "n": 1, "seed": None if seed is None else seed + i} for i in range(n)]

    def _answer(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        given: dict[str, Any],
        cancelled: threading.Event,
        *,
        streams: bool = True,
    ) -> Iterator[ChatGenerationChunk]:
        """Yield one answer; `streams` says whether it is read while it is written."""
        settings, request = self._request(messages, stop, given)
        called = False
        unread: list[str] = []
        # With one tool agents of LangChain ask again; with several they end without a word.
        alone = len(request.tools) == 1
        try:
            for chunk in from_events(settings._events(request, cancelled, streams=streams), settings.model):
                yield ChatGenerationChunk(message=chunk)
                called = called or bool(chunk.tool_calls)
                unread += [] if alone else chunk.response_metadata.get(REASONS, [])
                if not request.parsed:
                    check_fault(chunk, missing_call=request.forced_call and not called, unread=unread)
        except InputTooLongError as error:
            raise PromptTooLongError(str(error)) from error

    def _events(
        self, request: Request, cancelled: threading.Event, *, streams: bool
    ) -> Iterator[Event | Done]:
        if self.base_url is not None:
            yield from self._connect(self.base_url).answer(request, cancelled, streams=streams)
            return
        with self._use():
            model = self._load()
            # These load torch, which no server needs.
            from qwen_agentkit.engine.decode.answer import answer
            from qwen_agentkit.engine.llama.answer import answer_by_llama
            from qwen_agentkit.engine.llama.model import LlamaModel

            if isinstance(model, LlamaModel):
                yield from answer_by_llama(model, request, cancelled)
            else:
                yield from answer(model, request, cancelled)

    def _request(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        given: dict[str, Any],
        *,
        whole: bool = True,
    ) -> tuple[ChatQwen, Request]:
        """Return the settings of one call and its request; `whole` is that of `to_template`."""
        given = dict(given)
        tools = read_tools(given.pop("tools", None) or ())
        wished = given.pop("tool_choice", None)
        choice = read_choice(wished, [tool["function"]["name"] for tool in tools])
        tools = [] if choice == "none" else tools
        parallel = given.pop("parallel_tool_calls", None)
        parallel = not forbids_parallel(wished) if parallel is None else parallel
        wanted, parsed = given.pop("response_format", None), given.pop(PARSED, False)
        settings = self._with_settings(given if stop is None else {**given, "stop": stop})
        if settings.n > 1:
            raise InputError(f"n={settings.n} answers cannot be told apart in a stream. Stream with n=1.")
        schema, strict = None, False
        if wanted is not None:
            wanted = as_response_format(wanted)
            schema, strict = answer_schema(wanted), is_strict(wanted)
            messages = ask_for_json(messages, wanted, with_tools=bool(tools))
        forced = choice not in (None, "auto", "none")
        if forced and whole:
            check_attempts(messages)
        return settings, Request(
            messages=to_template(messages, whole=whole),
            tools=tools,
            forced_call=forced,
            forced_tool=None if choice in (None, "auto", "none", "any") else choice,
            parsed=parsed or is_parsed(wanted),
            forbids_calls=choice == "none",
            parallel_calls=parallel is not False,
            schema=schema,
            strict_schema=strict,
            thinking=settings.thinking,
            thinking_budget=settings.thinking_budget,
            reasoning_effort=settings.reasoning_effort,
            keep_thoughts=settings.keep_thoughts,
            sampling={name: getattr(settings, name) for name in SAMPLING},
            max_tokens=settings.max_tokens,
            stop=settings.stop or (),
        )

    def get_token_ids(self, text: str) -> list[int]:
        """Return the token ids of a text, in which special tokens are plain text.

        Raises:
            ServerUnsupportedError: With `base_url`, since there is no tokenizer in this process.
        """
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        with self._use():
            return self._load_tokenizer().encode_data([text])[0]

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Return the number of tokens of the prompt, with tools and with the tokens that open the answer.

        Any part of a chat is counted, in any order. Where the checkpoint's template refuses the messages, the
        tokens are those of each message by itself; blocks that are not text count nothing.

        Raises:
            ServerUnsupportedError: As `get_token_ids`, unless `custom_get_token_ids` is set.
        """
        if self.custom_get_token_ids is not None:
            schemas = json.dumps(read_tools(tools), ensure_ascii=False) if tools else ""
            return super().get_num_tokens_from_messages(messages) + len(self.get_token_ids(schemas))
        with self._use():
            loaded = self._load_tokenizer()
            from qwen_agentkit.engine.decode.answer import prompt_length  # loads torch, which no server needs

            return prompt_length(loaded, self._request(messages, None, {"tools": tools}, whole=False)[1])

    def _load_tokenizer(self) -> Loaded | LlamaModel:
        """Return the checkpoint, whose tokenizer counts tokens.

        Raises:
            ServerUnsupportedError: With `base_url`.
        """
        if self.base_url is not None:
            raise ServerUnsupportedError(
                f"Tokens cannot be counted by the server at {shown_address(self.base_url)}. Pass "
                "custom_get_token_ids= with the model's tokenizer, or count characters."
            )
        return self._load()

    def _with_settings(self, given: dict[str, Any]) -> ChatQwen:
        """Return a copy with the settings of one call, validated as the constructor does."""
        if not given:
            return self
        if unknown := given.keys() - SETTINGS:
            raise InputError(
                f"Unknown setting {sorted(unknown)[0]!r}; expected one of {', '.join(sorted(SETTINGS))}."
            )
        kept = {name: getattr(self, name) for name in (*SETTINGS, "api_key")}
        try:
            changed = ChatQwen(**{**kept, **given})
        except ValidationError as error:
            raise InputError(describe(error, given)) from error
        changed._held, changed._asked = self._held, self._asked
        changed.__dict__["_residence"] = self._residence
        if (changed.model, changed.base_url) == (self.model, self.base_url):
            changed.profile = self.profile  # a server may add to it
        return changed

    def _key(self) -> tuple[str | int | None, ...]:
        """Return the settings that decide which weights are loaded."""
        where = (self.model, self.revision, self.device, self.dtype, self.engine)
        return (*where, self.adapter, self.quantize, self.context_window)

    def _load(self) -> Loaded | LlamaModel:
        key = self._key()
        if key not in self._held:
            # These load torch, as above.
            from qwen_agentkit.engine.checkpoint.loading import load
            from qwen_agentkit.engine.llama.model import load_llama

            window = self.context_window
            if self._runs_in_llama:
                self._held[key] = load_llama(self.model, "chat", context_window=window, device=self.device)
            else:
                self._held[key] = load(self.model, chat=True, context_window=window, **self._weights())
        return self._held[key]

    def _dropper(self) -> Callable[[], None]:
        return self._held.clear

    def __copy__(self) -> Self:
        """Return a copy that shares the weights, and the count of the calls that use them."""
        copied = super().__copy__()
        copied.__dict__["_residence"] = self._residence
        return copied

    def _connect(self, base_url: str) -> ChatServer:
        key = (base_url, self.model, self.server, self.timeout, self.max_retries)
        if key not in self._asked:
            self._asked[key] = ChatServer(self._server(), self.model, self.server)
            context = self._asked[key].context
            if self.profile is not None and context:
                self.profile.setdefault("max_input_tokens", context)
        return self._asked[key]

    def _resolve_model_profile(self) -> ModelProfile | None:
        return profile_of(self.model, self.context_window, served=self.base_url is not None)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = "qwen-agentkit"
        return params

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in sorted(SETTINGS - CONNECTION_SETTINGS)}

    @property
    def _llm_type(self) -> str:
        return "qwen-agentkit"


def _join_results(results: list[ChatResult]) -> ChatResult:
    """Join the results of several answers; messages keep their own usage, and `llm_output` has the sum."""
    if len(results) == 1:
        return results[0]
    generations = [generation for result in results for generation in result.generations]
    usage = None
    for generation in generations:
        if isinstance(generation.message, AIMessage):
            usage = add_usage(usage, generation.message.usage_metadata)
    return ChatResult(generations=generations, llm_output={"token_usage": usage})
