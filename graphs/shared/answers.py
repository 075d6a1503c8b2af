"""What becomes of an answer: written or quoted, in the reader's language, its markers resolved, or none.

Knows states, languages and citations; what asks for an answer, and what replaces one, is `nodes.py`.
"""

from __future__ import annotations

from langchain_core.documents import BaseDocumentCompressor
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage

from qwen_agentkit.graphs.shared.checks import in_another_language
from qwen_agentkit.graphs.shared.extract import extract_answer
from qwen_agentkit.graphs.shared.models import Thought, bound, one_line, said
from qwen_agentkit.graphs.shared.passages import passage_prompt
from qwen_agentkit.graphs.shared.prompts import TRANSLATE_QUOTE
from qwen_agentkit.graphs.shared.running import Stage, Update
from qwen_agentkit.graphs.shared.state import RagContext, RagState
from qwen_agentkit.graphs.shared.usage import thought_in
from qwen_agentkit.text.citations import resolve_citations, without_markers
from qwen_agentkit.text.languages import has_phrase, language_name, phrase
from qwen_agentkit.text.verification import Verification, treat_unsupported

__all__ = ["abstains", "abstention", "extracted", "settled", "written"]


def abstention(language: str, model: BaseChatModel | None = None, stage: Stage | None = None) -> Update:
    """An answer that says that there is none.

    Args:
        language: to say it in.
        model: translates it where the language has no phrase for it; without one, or when it fails, it is
            said in English.
        stage: where that failure is announced.
    """
    answer = phrase(language, "abstain")
    if model is not None and stage is not None and not has_phrase(language, "abstain"):
        answer = _in_words_of(model, answer, language, stage) or answer
    return {"messages": [AIMessage(answer)], "answer": answer, "abstained": True}


def _in_words_of(model: BaseChatModel, sentence: str, language: str, stage: Stage) -> str:
    """The sentence as the model translates it, or "" when it fails or writes another language."""
    instruction, instead = TRANSLATE_QUOTE.format(language=language_name(language)), "English"
    text = one_line(model, Thought(False, None), instruction, sentence, stage, instead)
    if text and in_another_language(text, language):
        stage.fall_back(instead, f"The model does not write {language_name(language)}.")
        return ""
    return text


def abstains(answer: str, language: str) -> bool:
    """Whether an answer is a fixed phrase that there is none, whatever marker or quotation mark is on it."""
    said = without_markers(answer).strip(" \n\"'“”«»「」")
    return said in {phrase(language, key) for key in ("abstain", "nano_abstain")}


def extracted(state: RagState, settings: RagContext, reranker: BaseDocumentCompressor | None) -> Update:
    """An answer of quoted sentences; its citations are exact."""
    answer, citations = extract_answer(
        state["question"],
        state["documents"],
        reranker,
        language=state["language"],
        sentences=settings.sentences,
    )
    if not citations:
        return abstention(state["language"])
    return {"messages": [AIMessage(answer)], "answer": answer, "citations": citations}


def written(
    model: BaseChatModel,
    state: RagState,
    thinking: bool | None,
    *,
    budget: int | None = None,
    stage: Stage | None = None,
) -> Update:
    """An answer of the model, as it wrote it.

    Args:
        model: any chat model.
        state: with the question, its language and the passages.
        thinking: whether to think, where the model can be told; None leaves it to the model.
        budget: most tokens of thought.
        stage: of the node that asks; through it a run that was cancelled ends the answer.
    """
    stage = stage or Stage("generate", lambda event: None)
    message = said(bound(model, Thought(thinking, budget)), passage_prompt(state), stage)
    reasoning = str(message.additional_kwargs.get("reasoning_content", ""))
    thought = state.get("thought", 0) + thought_in(message)
    return {"messages": [message], "answer": message.text, "reasoning": reasoning, "thought": thought}


def settled(state: RagState, checked: Verification, settings: RagContext) -> Update:
    """The answer treated as the settings say, with its citations; an abstention if nothing is left."""
    if state["citations"]:
        return {"verification": checked}  # extracted: quotes with exact citations
    text = treat_unsupported(state["answer"], checked, settings.unsupported)
    answer, citations = resolve_citations(text, state["documents"])
    last = state["messages"][-1]
    if abstains(state["answer"], state["language"]) or (state["answer"].strip() and not answer):
        update = abstention(state["language"])
        message = last.model_copy(update={"content": update["answer"]})
        return {**update, "messages": [message], "verification": checked}
    message = last.model_copy(update={"content": answer})
    return {"messages": [message], "answer": answer, "citations": citations, "verification": checked}
