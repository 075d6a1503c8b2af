"""What is asked of a chat model beside the answer: an object, or a translation. Both are data, and may fail.

Knows LangChain's chat models, not what is done with what they say.
"""

from __future__ import annotations

from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.constants import TAG_NOSTREAM
from pydantic import BaseModel

from qwen_agentkit.graphs.shared.checks import in_another_language
from qwen_agentkit.graphs.shared.models import Thought, can_think
from qwen_agentkit.graphs.shared.passages import as_data
from qwen_agentkit.graphs.shared.prompts import TRANSLATE_QUOTE
from qwen_agentkit.graphs.shared.running import NEVER_HIDDEN, Stage
from qwen_agentkit.graphs.shared.usage import thought_in
from qwen_agentkit.text.languages import language_name

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
    thought: Thought,
    instead: str,
) -> tuple[ObjectT | None, int]:
    """An object of the model, or None when it gives none, and the tokens of thought that it took.

    Args:
        schema: of the object.
        model: any chat model.
        instruction: the system message.
        request: the human message.
        stage: where the failure is announced.
        thought: how a model that can be told so thinks first.
        instead: what is done when there is no object.
    """
    given: dict[str, Any] = {"thinking": thought.thinking} if can_think(model) else {}
    if given and thought.budget is not None:
        given["thinking_budget"] = thought.budget
    spent = 0
    try:
        asked = model.with_structured_output(schema, include_raw=True, **given)
        found = asked.with_config(tags=[TAG_NOSTREAM]).invoke(
            [SystemMessage(instruction), HumanMessage(request)]
        )
        if isinstance(found, dict) and "raw" in found:  # not every model knows include_raw
            spent = thought_in(found["raw"])
            if found["parsing_error"]:
                raise found["parsing_error"]
            found = found["parsed"]
        return schema.model_validate(found), spent
    except NEVER_HIDDEN:
        raise
    except Exception as error:
        stage.fall_back(instead, error)
        return None, spent


def translated(model: BaseChatModel, sentence: str, language: str, stage: Stage) -> str:
    """The sentence in `language`, or "" when the model fails or writes another language."""
    quick = model.bind(thinking=False) if can_think(model) else model
    prompt = [
        SystemMessage(TRANSLATE_QUOTE.format(language=language_name(language))),
        HumanMessage(as_data(sentence)),
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
