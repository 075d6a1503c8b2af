"""What is asked of a chat model beside the answer: an object, or a translation. Both are data, and may fail.

Knows LangChain's chat models, not what is done with what they say.
"""

from __future__ import annotations

from typing import TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.constants import TAG_NOSTREAM
from pydantic import BaseModel

from qwen_agentkit.graphs.checks import in_another_language
from qwen_agentkit.graphs.models import can_think
from qwen_agentkit.graphs.prompts import TRANSLATE_QUOTE
from qwen_agentkit.graphs.running import NEVER_HIDDEN, Stage
from qwen_agentkit.languages import language_name

__all__ = ["filled_in", "one_liners", "translated"]

ObjectT = TypeVar("ObjectT", bound=BaseModel)

_LONGEST_QUESTION = 300
"""Characters: what is longer is no question but the model talking, or a passage through it."""


def filled_in(
    schema: type[ObjectT],
    model: BaseChatModel,
    instruction: str,
    request: str,
    stage: Stage,
    *,
    thinking: bool,
    instead: str,
) -> ObjectT | None:
    """An object of the model, or None when it gives none; `instead` says what is done then.

    Args:
        schema: of the object.
        model: any chat model.
        instruction: the system message.
        request: the human message.
        stage: where the failure is announced.
        thinking: whether a model that can be told so thinks first.
        instead: what replaces the object.
    """
    given = {"thinking": thinking} if can_think(model) else {}
    try:
        silent = model.with_structured_output(schema, **given).with_config(tags=[TAG_NOSTREAM])
        return schema.model_validate(silent.invoke([SystemMessage(instruction), HumanMessage(request)]))
    except NEVER_HIDDEN:
        raise
    except Exception as error:
        stage.fall_back(instead, error)
        return None


def translated(model: BaseChatModel, sentence: str, language: str, stage: Stage) -> str:
    """The sentence in `language`, or "" when the model fails or writes another language."""
    quick = model.bind(thinking=False) if can_think(model) else model
    prompt = [
        SystemMessage(TRANSLATE_QUOTE.format(language=language_name(language))),
        HumanMessage(sentence),
    ]
    try:
        text = " ".join(quick.with_config(tags=[TAG_NOSTREAM]).invoke(prompt).text.split())
    except NEVER_HIDDEN:
        raise
    except Exception as error:
        stage.fall_back("the quote alone", error)
        return ""
    if not text or in_another_language(text, language):
        stage.fall_back("the quote alone", f"The model does not write {language_name(language)}.")
        return ""
    return text


def one_liners(texts: list[str], known: list[str]) -> list[str]:
    """The texts that can be searched for: one line each, not too long, none twice and none of `known`."""
    lines = [" ".join(text.split()) for text in texts]
    fit = [line for line in lines if line and len(line) <= _LONGEST_QUESTION and line not in known]
    return list(dict.fromkeys(fit))
