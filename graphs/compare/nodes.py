"""The nodes of `compare`: one search for each language, and their quotes side by side.

Knows that a quote stays word for word in its language, and that only the model vouches for a translation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langgraph.types import Send

from qwen_agentkit.graphs.compare.state import (
    CompareBranch,
    CompareContext,
    CompareState,
    LanguageFinding,
    Quote,
)
from qwen_agentkit.graphs.corrective_rag.nodes import CorrectiveNodes
from qwen_agentkit.graphs.corrective_rag.state import CorrectiveContext
from qwen_agentkit.graphs.rag.nodes import RagNodes
from qwen_agentkit.graphs.shared.answers import extract_answer, translate_sentence
from qwen_agentkit.graphs.shared.language_retriever import LanguageRetriever, document_language
from qwen_agentkit.graphs.shared.parallel import RAISED_BY_BRANCHES, check_not_all_failed
from qwen_agentkit.graphs.shared.prompts import COMPARE
from qwen_agentkit.graphs.shared.runtime import Stage, Update
from qwen_agentkit.graphs.shared.state import RagContext
from qwen_agentkit.text.citations import Citation
from qwen_agentkit.text.languages import detect_language, language_name, phrase
from qwen_agentkit.text.verification import Verification, treat_unsupported, verify_citations

__all__ = ["CompareNodes", "send_languages"]

_SURVEY_WIDTH = 200
"""Passages among which languages are looked for: more than one language should fill."""
_MAX_LANGUAGES = 8
_FAILED = "[?]"
"""Stands for the quotes of a language whose search failed: a mark that readers of every language know."""


@dataclass(frozen=True)
class CompareNodes:
    """The nodes of `compare`, over those of `rag`."""

    rag: RagNodes

    @property
    def corrective(self) -> CorrectiveNodes:
        """The nodes of `corrective_rag`."""
        return CorrectiveNodes(self.rag)

    def prepare(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Find the question and its language, and clear the last answer and its findings."""
        fresh: Update = {"languages": [], "findings": [], "by_language": []}
        return {**self.corrective.prepare(state, _corrective_settings(settings), stage), **fresh}

    def survey(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Find the languages to compare: those of the settings, or else those of the passages found."""
        found = list(settings.languages)
        if not found:
            wide = cast(CompareState, {**state, "width": _SURVEY_WIDTH})
            update = self.corrective.retrieve(wide, _corrective_settings(settings), stage)
            found = [document_language(document) for document in update["retrieved"]]
        own = detect_language(state["question"], among=[state["language"]])
        languages = sorted(dict.fromkeys(found), key=lambda code: code != own)
        kept = languages if settings.languages else languages[:_MAX_LANGUAGES]
        stage.details |= {"languages": kept, "left_out": languages[len(kept) :]}
        return {"languages": kept}

    def search(self, state: CompareBranch, settings: CompareContext, stage: Stage) -> Update:
        """Search in one language, and quote and translate the best sentences."""
        finding: LanguageFinding = {"language": state["of"], "documents": [], "quotes": [], "error": ""}
        try:
            found = self._search_language(state, settings, stage)
            finding["documents"] = found["documents"]
            finding["quotes"] = self._quote(found, settings, stage)
        except RAISED_BY_BRANCHES:
            raise
        except Exception as error:
            stage.announce_fallback("the other languages", error)
            finding["error"] = f"{type(error).__name__}: {error}"
        stage.details |= {"language": state["of"], "kept": len(finding["documents"])}
        return {"findings": [finding]}

    def align(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Put the languages side by side, and number all their passages together."""
        findings = sorted(state["findings"], key=lambda one: state["languages"].index(one["language"]))
        check_not_all_failed([finding["error"] for finding in findings])
        documents: list[Document] = []
        by_language: list[LanguageFinding] = []
        for finding in findings:
            quotes = [_shift_marker(quote, len(documents)) for quote in finding["quotes"]]
            by_language.append({**finding, "quotes": quotes})
            documents += finding["documents"]
        stage.details |= {"quotes": {one["language"]: len(one["quotes"]) for one in by_language}}
        return {"by_language": by_language, "documents": documents, "hard": len(findings) > 1}

    def generate(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Write a summary of the languages; without a model, and when it fails, there are only quotes."""
        if self.rag.model is None:
            return {}
        update = self.corrective.generate(_with_languages(state), _corrective_settings(settings), stage)
        return {} if update.get("citations") or update.get("abstained") else update

    def verify(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Check what the model wrote against the passages, and decide whether it needs repair."""
        if not state["answer"]:
            return {"move": "cite"}
        return self.corrective.verify(state, _corrective_settings(settings), stage)

    def repair(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Ask once for a better summary; when the model fails, there are only quotes."""
        update = self.corrective.repair(_with_languages(state), _corrective_settings(settings), stage)
        extractive = update.get("citations") or update.get("abstained")
        return {"answer": "", "verification": None} if extractive else update

    def cite(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Join summary and quotes, treat unsupported sentences, and resolve the markers."""
        update: Update = {}
        if state["answer"]:
            update = self.corrective.cite(state, _corrective_settings(settings), stage)
        summary = "" if update.get("abstained") else update.get("answer", "")
        lead = summary or phrase(state["language"], "from_documents")
        quotes = "\n\n".join(_format_quotes(one) for one in state["by_language"] if one["quotes"])
        checked = verify_citations(quotes, state["documents"], language=state["language"])
        kept = treat_unsupported(quotes, checked, settings.unsupported)
        answer = "\n\n".join([lead, kept, *_format_missing(state)])
        citations = list(update["citations"]) if summary else []
        verification = _join_verifications(state["verification"], checked, len(state["answer"] or lead) + 2)
        stage.details["verification"] = verification
        return {
            "messages": [_answer_message(state, answer)],
            "answer": answer,
            "citations": citations + [one for one in _quote_citations(state) if one not in citations],
            "verification": verification,
            "abstained": False,
        }

    def abstain(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Say in the reader's language that the documents hold no answer."""
        return self.corrective.abstain(state, _corrective_settings(settings), stage)

    def _search_language(self, state: CompareBranch, settings: CompareContext, stage: Stage) -> CompareBranch:
        """The state after a search in one language, also for the question in that language."""
        retriever = LanguageRetriever(
            source=self.rag.retriever,
            language=state["of"],
            limit=settings.candidates,
            announce=stage.announce_fallback,
        )
        nodes = CorrectiveNodes(replace(self.rag, retriever=retriever))
        branch_settings = _corrective_settings(settings, [state["of"]])
        if self.rag.model is not None:
            state = _merge(state, nodes.translate(state, branch_settings, stage))
        state = _merge(state, nodes.retrieve(state, branch_settings, stage))
        return _merge(state, nodes.rerank(state, branch_settings, stage))

    def _quote(self, state: CompareBranch, settings: CompareContext, stage: Stage) -> list[Quote]:
        """The best sentences of the passages, each with its translation."""
        query = state["translations"].get(state["of"], state["question"])
        extract = partial(extract_answer, language=state["language"], sentences=settings.sentences)
        try:
            _, citations = extract(query, state["documents"], self.rag.reranker)
        except RAISED_BY_BRANCHES:
            raise
        except Exception as error:
            stage.announce_fallback("first sentence", error)
            _, citations = extract(query, state["documents"], None)
        return [{**one, "translation": self._translate(one["quote"], state, stage)} for one in citations]

    def _translate(self, sentence: str, state: CompareBranch, stage: Stage) -> str:
        """The sentence in the reader's language; "" if it is in that language, or there is no translation."""
        foreign = state["of"].split("-")[0] != state["language"].split("-")[0]
        if self.rag.model is None or not foreign:
            return ""
        return translate_sentence(self.rag.model, sentence, state["language"], stage, "the quote alone")


def send_languages(state: CompareState) -> list[Send]:
    """Start a branch for each language."""
    return [Send("search", _branch_state(state, language)) for language in state["languages"]]


def _branch_state(state: CompareState, language: str) -> dict[str, Any]:
    """The state of a branch: one search, without the conversation."""
    fresh: Update = {"translations": {}, "tried": [], "retrieved": [], "documents": []}
    known = {"question": state["question"], "queries": [state["question"]], "language": state["language"]}
    return {**fresh, **known, "of": language, "width": state["width"], "timings": state["timings"]}


def _corrective_settings(settings: CompareContext, languages: Sequence[str] = ()) -> CorrectiveContext:
    """The settings as the nodes of `corrective_rag` take them."""
    known = settings.model_dump(include=set(RagContext.model_fields))
    return CorrectiveContext(**known, languages=list(languages))


def _with_languages(state: CompareState) -> CompareState:
    """The state with a question that names the languages and the markers of their passages."""
    lines, number = [], 0
    for finding in state["by_language"]:
        markers = "".join(f"[{number + place}]" for place in range(1, len(finding["documents"]) + 1))
        lines += [f"- {language_name(finding['language'])}: {markers}"] if markers else []
        number += len(finding["documents"])
    question = COMPARE.format(question=state["question"], languages="\n".join(lines))
    return cast(CompareState, {**state, "question": question})


def _format_quotes(finding: LanguageFinding) -> str:
    """The quotes of one language under its name."""
    lines = [f"{_endonym(finding['language'])}:"]
    for quote in finding["quotes"]:
        lines.append(f"{quote['quote']} [{quote['marker']}]")
        if quote["translation"]:
            lines.append(f"{quote['translation']} [{quote['marker']}]")
    return "\n".join(lines)


def _format_missing(state: CompareState) -> list[str]:
    """A line for each language in which nothing was found, or whose search failed."""
    nothing = phrase(state["language"], "abstain")
    return [
        f"{_endonym(finding['language'])}: {_FAILED if finding['error'] else nothing}"
        for finding in state["by_language"]
        if not finding["quotes"]
    ]


def _endonym(code: str) -> str:
    """The name of a language in that language, or its code if the name is not known."""
    return code if language_name(code) == code else phrase(code, "endonym")


def _shift_marker(quote: Quote, offset: int) -> Quote:
    return {**quote, "marker": quote["marker"] + offset}


def _quote_citations(state: CompareState) -> list[Citation]:
    return [
        {"marker": quote["marker"], "source": quote["source"], "quote": quote["quote"]}
        for finding in state["by_language"]
        for quote in finding["quotes"]
    ]


def _join_verifications(summary: Verification | None, quotes: Verification, offset: int) -> Verification:
    """The verification of the summary and of the quotes, which begin at `offset` in the answer."""
    moved = [
        {**sentence, "start": sentence["start"] + offset, "end": sentence["end"] + offset}
        for sentence in quotes["sentences"]
    ]
    first = summary or {"sentences": [], "claims": 0, "supported": 0}
    return {
        "sentences": [*first["sentences"], *cast(Any, moved)],
        "claims": first["claims"] + quotes["claims"],
        "supported": first["supported"] + quotes["supported"],
    }


def _answer_message(state: CompareState, answer: str) -> AIMessage:
    """The model's message with the whole answer as text, or a new message if the model wrote none."""
    last = state["messages"][-1]
    return last.model_copy(update={"content": answer}) if isinstance(last, AIMessage) else AIMessage(answer)


def _merge(state: CompareBranch, update: Update) -> CompareBranch:
    return cast(CompareBranch, {**state, **update})
