"""`QwenDecisions`: a Qwen chat checkpoint as a LangChain decision model. Knows LangChain."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from qwen_agentkit.backends.settings import ModelSettings
from qwen_agentkit.catalog import Role
from qwen_agentkit.chat.decisions import LETTERS, AskedQuestion, ask, write_prompt
from qwen_agentkit.errors import InputError, too_old

try:
    from langchain_core.decisions import BaseDecisionModel, ClassifierResponse, Question, State
except ModuleNotFoundError as error:
    raise too_old(error, "langchain_core.decisions", "langchain-core>=1.8") from error

__all__ = ["QwenDecisions"]

# Requests to a server at a time: it computes them together.
_AT_ONCE = 16

Prompts = list[list[dict[str, Any]]]


class QwenDecisions(ModelSettings, BaseDecisionModel):
    """Answers typed questions with probabilities, in this process, or with `base_url` by a server.

    A question becomes a prompt with lettered options, and its probabilities are those of the letters as the
    next token: nothing is written, so that an answer cannot be malformed. Each question is asked in several
    orders of its options and the probabilities are averaged. In this process, all questions of a call share
    the keys and values of the state. The model does not think first.

    `confidence` is the probability of the chosen option, and of the likeliest level of a score. How well such
    probabilities are calibrated depends on the checkpoint: measure it on your own questions before you act on
    a threshold. The state is shown to the model as JSON that it is told not to obey; its reply is a letter
    whatever the state says, but a state can still sway which.

    Example::

        decisions = QwenDecisions(model="0.6b")
        answer = decisions.invoke(
            {
                "state": "Production is down. Please help immediately.",
                "questions": {"urgent": Noul(instructions="Does this need an answer within the hour?")},
            }
        )
        answer.nouls["urgent"].noul  # the probability of yes, 0 to 1

    Works in `AutoModeMiddleware` and `ModelRouterMiddleware` of langchain 1.5. Needs langchain-core 1.8.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: ClassVar[Role] = "chat"
    local_settings: ClassVar[tuple[str, ...]] = (
        *("revision", "device", "dtype", "engine", "adapter", "quantize", "context_window"),
    )

    model: str = "Qwen/Qwen3-0.6B"
    """Hub id, local folder, GGUF file, or a preset: "nano", "0.6b", "4b", "8b"."""

    quantize: Literal["int8", "int4", "fp8"] | None = None
    """Round the weights while loading, as `ChatQwen` does."""

    context_window: int | None = Field(default=None, ge=1)
    """Most tokens of the state and a question, as in `ChatQwen`."""

    server: str | None = None
    """Kind of server, as in `ChatQwen`. None asks it, once."""

    @property
    def _provider(self) -> str:
        return "qwen-agentkit"

    def _classify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        """Answer one request.

        Raises:
            InputError: There is no question, a question has equal options or too many, or the state holds
                something other than text, numbers and messages.
            InputTooLongError: The state and a question do not fit the context.
            ModelUnsupportedError: A question asks for a place in an image.
            ServerError: The server gave no answer.
        """
        if not questions:
            raise InputError("There is no question; expected at least one. Pass questions={name: Noul(...)}.")
        asked = {name: ask(name, question) for name, question in questions.items()}
        shown = [(one, order) for one in asked.values() for order in one.orders]
        prompts = [write_prompt(state, one.write(order)) for one, order in shown]
        letters = [LETTERS[: len(order)] for _, order in shown]
        probabilities, read = (self._ask_server if self.base_url else self._ask_engine)(prompts, letters)
        return ClassifierResponse(
            model=self.model,
            answers=_collect(asked, probabilities),
            usage=None if read is None else {"input_tokens": read, "output_tokens": 0, "total_tokens": read},
        )

    def _ask_engine(self, prompts: Prompts, letters: list[str]) -> tuple[list[list[float]], int | None]:
        # These load torch.
        if self._runs_in_llama:
            from qwen_agentkit.engine.llama.next_token import letter_probabilities as by_llama

            return by_llama(self._loaded, prompts, letters)
        from qwen_agentkit.engine.decode.options import letter_probabilities

        return letter_probabilities(self._loaded, prompts, letters)

    def _ask_server(self, prompts: Prompts, letters: list[str]) -> tuple[list[list[float]], int | None]:
        from qwen_agentkit.server.options import letter_probabilities  # needs an HTTP client

        server, flavor = self._connection

        def work(prompt: list[dict[str, Any]], some: str) -> tuple[list[float], int | None]:
            return letter_probabilities(server, flavor, self.model, prompt, some)

        with ThreadPoolExecutor(min(_AT_ONCE, len(prompts))) as pool:
            rows = list(pool.map(work, prompts, letters))
        counts = [count for _, count in rows if count is not None]
        return [row for row, _ in rows], sum(counts) if len(counts) == len(rows) else None

    @cached_property
    def _loaded(self) -> Any:
        if self._runs_in_llama:
            from qwen_agentkit.engine.llama.model import load_llama

            return load_llama(self.model, "rank", context_window=self.context_window, device=self.device)
        from qwen_agentkit.engine.checkpoint.loading import load  # loads torch

        return load(self.model, chat=True, context_window=self.context_window, **self._weights())

    @cached_property
    def _connection(self) -> tuple[Any, Any]:
        from qwen_agentkit.server.chat import ChatServer  # needs an HTTP client

        server = self._server()
        return server, ChatServer(server, self.model, self.server).flavor


def _collect(asked: dict[str, AskedQuestion], probabilities: list[list[float]]) -> dict[str, Any]:
    """Return the typed answer to each question, from the probabilities of all orders of all questions."""
    rows = iter(probabilities)
    return {name: one.answer([next(rows) for _ in one.orders]) for name, one in asked.items()}
