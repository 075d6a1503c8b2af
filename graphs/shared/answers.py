"""Answers: quoting, abstaining, translating and finishing them, and finding their faults.

Knows citations, their verification, and languages. Does not know how passages are found or when a node asks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage

from qwen_agentkit.graphs.shared.models import NO_THOUGHT, ask_text
from qwen_agentkit.graphs.shared.passages import escape_markup
from qwen_agentkit.graphs.shared.prompts import OTHER_LANGUAGE, TRANSLATE_QUOTE
from qwen_agentkit.graphs.shared.retrieval import relevance_score
from qwen_agentkit.graphs.shared.runtime import Stage, Update
from qwen_agentkit.graphs.shared.state import RagContext, RagState
from qwen_agentkit.text.citations import Citation, document_source, resolve_citations, without_markers
from qwen_agentkit.text.languages import detect_language, has_phrase, language_name, phrase
from qwen_agentkit.text.question_kinds import fitness, lacks_answer
from qwen_agentkit.text.sentences import split_sentences
from qwen_agentkit.text.verification import Verification, treat_unsupported

__all__ = [
    "abstain",
    "extract_answer",
    "find_citation_faults",
    "find_language_faults",
    "finish_answer",
    "is_abstention",
    "is_other_language",
    "translate_sentence",
]

_NEAR_BEST = 0.9
"""A further sentence is quoted only if it scores at least this part of the best score."""
_QUOTATION = re.compile('“[^”]*”|"[^"]*"|«[^»]*»|「[^」]*」')
# Too similar to be told apart in one sentence.
_SIMILAR_LANGUAGES = ({"no", "da"}, {"id", "ms"}, {"hr", "sr", "bs"}, {"cs", "sk"})
_LANGUAGE = re.compile("[a-z]{2,3}(?:-[a-z]{2,8})*", re.I)
"""A language code. Other words under that name in the metadata of a passage say nothing."""
_MIN_LETTERS = 12
"""A shorter answer is a name or a number, which says more about the passage than about the language."""


def extract_answer(
    question: str,
    documents: Sequence[Document],
    reranker: BaseDocumentCompressor | None,
    *,
    language: str,
    sentences: int,
) -> tuple[str, list[Citation]]:
    """Quote the sentences of `documents` that answer `question` best.

    Without a reranker the first sentence of the first document is quoted.

    Args:
        question: What is asked.
        documents: The passages; marker [n] is the n-th.
        reranker: Any compressor that writes `metadata["relevance_score"]`.
        language: Language of the words around the quotes.
        sentences: Maximum number of sentences to quote.

    Returns:
        The answer and its citations, in the same order; ("", []) when no document has a sentence, or the best
        one lacks what is asked for.
    """
    candidates = [
        sentence
        for number, document in enumerate(documents, 1)
        for sentence in _split_passage(number, document)
    ]
    if reranker is None or not candidates:
        best = candidates[:1]
    else:
        ranked = reranker.compress_documents([_put_under_headings(one) for one in candidates], question)
        best = _keep_best([_remove_headings(one) for one in ranked], question)[:sentences]
    if not best or _lacks_answer(question, best[0]):
        return "", []
    citations: list[Citation] = [
        {"marker": s.metadata["marker"], "source": s.metadata["source"], "quote": s.page_content}
        for s in best
    ]
    lines = [f"{c['quote']} [{c['marker']}]" for c in citations]
    return "\n".join([phrase(language, "from_documents"), *lines]), citations


def _split_passage(number: int, document: Document) -> list[Document]:
    """Return the sentences of a passage without its title and headings, which match much and say little."""
    metadata = document.metadata
    language = str(metadata.get("language") or "")
    headings = {str(metadata.get("title", "")), *str(metadata.get("section", "")).split(" > ")}
    known = {
        "marker": number,
        "source": document_source(document),
        "passage_score": _score(document),
        "language": language if _LANGUAGE.fullmatch(language) else "",
        "headings": "\n".join(heading for heading in sorted(headings) if heading),
    }
    found = []
    for text, start, _ in split_sentences(document.page_content):
        line = document.page_content[:start].rpartition("\n")[2]
        if text not in headings and not line.lstrip().startswith("#"):
            found.append(Document(text, metadata=dict(known)))
    return found


def _put_under_headings(sentence: Document) -> Document:
    """Return a sentence below the title and headings of its page.

    A reranker then sees what the sentence is about, and one that repeats the subject has no advantage.
    """
    text, headings = sentence.page_content, sentence.metadata["headings"]
    whole = f"{headings}\n{text}" if headings else text
    return Document(whole, metadata={**sentence.metadata, "sentence": text})


def _remove_headings(sentence: Document) -> Document:
    """Return the sentence as it stands in its passage."""
    return Document(sentence.metadata["sentence"], metadata=sentence.metadata)


def _keep_best(ranked: Sequence[Document], question: str) -> list[Document]:
    """Return the sentences whose scores are near the best, best first.

    The score is the sentence's own, times its passage's, times how well its form fits the question.
    """
    scored = [
        (_score(sentence) * sentence.metadata["passage_score"] * _fitness(question, sentence), sentence)
        for sentence in ranked
    ]
    scored.sort(key=lambda pair: -pair[0])
    return [sentence for score, sentence in scored if score >= _NEAR_BEST * scored[0][0]]


def _lacks_answer(question: str, sentence: Document) -> bool:
    text = sentence.page_content
    return lacks_answer(question, text, sentence.metadata["language"] or detect_language(text))


def _fitness(question: str, sentence: Document) -> float:
    text = sentence.page_content
    return fitness(question, text, sentence.metadata["language"] or detect_language(text))


def _score(document: Document) -> float:
    score = relevance_score(document)
    return 1.0 if score is None else score


def abstain(language: str, model: BaseChatModel | None = None, stage: Stage | None = None) -> Update:
    """Make the answer that the documents hold no answer.

    Args:
        language: Language of the answer.
        model: Translates the answer if the package has no phrase in this language. Without a model, and when
            it fails, the answer is in English.
        stage: Where a failure is announced.
    """
    answer = phrase(language, "abstain")
    if model is not None and stage is not None and not has_phrase(language, "abstain"):
        answer = translate_sentence(model, answer, language, stage, "English") or answer
    return {"messages": [AIMessage(answer)], "answer": answer, "abstained": True}


def is_abstention(answer: str, language: str) -> bool:
    """Whether an answer is a fixed phrase of abstention, with or without markers and quotation marks."""
    words = without_markers(answer).strip(" \n\"'“”«»「」")
    return words in {phrase(language, key) for key in ("abstain", "nano_abstain")}


def translate_sentence(model: BaseChatModel, sentence: str, language: str, stage: Stage, instead: str) -> str:
    """Translate a sentence into `language`.

    Args:
        model: Any chat model.
        sentence: In any language.
        language: ISO 639-1 code.
        stage: Where a failure is announced.
        instead: What is done without a translation.

    Returns:
        The translation, or "" when the model fails or writes another language.
    """
    instruction = TRANSLATE_QUOTE.format(language=language_name(language))
    text = ask_text(model, NO_THOUGHT, instruction, escape_markup(sentence), stage, instead)
    if is_other_language(text, language):
        stage.announce_fallback(instead, f"The model does not write {language_name(language)}.")
        return ""
    return " ".join(text.split())


def finish_answer(state: RagState, checked: Verification, settings: RagContext) -> Update:
    """Treat unsupported sentences as the settings say, and resolve the markers.

    An answer of which nothing is left becomes an abstention.
    """
    if state["citations"]:
        return {"verification": checked}  # quotes, whose citations are exact
    text = treat_unsupported(state["answer"], checked, settings.unsupported)
    answer, citations = resolve_citations(text, state["documents"])
    last = state["messages"][-1]
    if is_abstention(state["answer"], state["language"]) or (state["answer"].strip() and not answer):
        update = abstain(state["language"])
        message = last.model_copy(update={"content": update["answer"]})
        return {**update, "messages": [message], "verification": checked}
    message = last.model_copy(update={"content": answer})
    return {"messages": [message], "answer": answer, "citations": citations, "verification": checked}


def find_citation_faults(checked: Verification) -> list[str]:
    """Describe the sentences that their passages do not support, for the model that repairs the answer."""
    found = []
    for sentence in checked["sentences"]:
        if sentence["verdict"] == "uncited":
            found.append(f"No passage is cited: {sentence['text']}")
        elif sentence["verdict"] == "unsupported":
            missing = ", ".join(item["text"] for item in sentence["missing"]) or "the cited passage"
            found.append(f"Not in the passages cited ({missing}): {sentence['text']}")
    return found


def find_language_faults(answer: str, language: str) -> list[str]:
    """Describe that an answer is in another language; [] if it is not."""
    wrong = is_other_language(answer, language)
    return [OTHER_LANGUAGE.format(language=language_name(language))] if wrong else []


def is_other_language(answer: str, language: str) -> bool:
    """Whether an answer's own words, without quotes and markers, are clearly not in `language`."""
    words = without_markers(_QUOTATION.sub("", answer))
    if sum(char.isalpha() for char in words) < _MIN_LETTERS:
        return False
    found, wanted = detect_language(words, language).split("-")[0], language.split("-")[0]
    return found != wanted and not any({found, wanted} <= similar for similar in _SIMILAR_LANGUAGES)
