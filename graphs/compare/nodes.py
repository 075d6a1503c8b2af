"""The nodes that `compare` does not share: one search for each language, and their quotes side by side.

Knows that a quote stays in its language word for word, and that a translation is the model's word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
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
from qwen_agentkit.graphs.shared.asking import translated
from qwen_agentkit.graphs.shared.branches import NOT_OF_ONE_BRANCH, refuse_if_all_failed
from qwen_agentkit.graphs.shared.by_language import InLanguage, document_language
from qwen_agentkit.graphs.shared.extract import extract_answer
from qwen_agentkit.graphs.shared.nodes import RagNodes, Stage, Update
from qwen_agentkit.graphs.shared.prompts import COMPARE
from qwen_agentkit.graphs.shared.state import RagContext
from qwen_agentkit.text.citations import Citation
from qwen_agentkit.text.languages import detect_language, language_name, phrase
from qwen_agentkit.text.verification import Verification, treat_unsupported, verify_citations

__all__ = ["CompareNodes", "searches"]

_SURVEYED = 200
"""Candidates among which the languages are looked for: more than any one language should fill."""
_MOST_LANGUAGES = 8
_FAILED = "[?]"
"""Stands for what a language says when its search failed: a mark that every language reads."""


@dataclass(frozen=True)
class CompareNodes:
    """What `compare` does otherwise than `corrective_rag`."""

    model: BaseChatModel | None
    retriever: BaseRetriever | VectorStore
    reranker: BaseDocumentCompressor | None

    @property
    def shared(self) -> CorrectiveNodes:
        """The nodes of `corrective_rag` over the same parts."""
        return self._over(self.retriever)

    def prepare(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Find the question, and forget the last one."""
        fresh: Update = {"languages": [], "findings": [], "by_language": []}
        return {**self.shared.prepare(state, _corrective(settings), stage), **fresh}

    def survey(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Find the languages to compare: those of the settings, else those of what is found."""
        found = list(settings.languages)
        if not found:
            wide: Any = {**state, "width": _SURVEYED}
            documents = self.shared.retrieve(wide, _corrective(settings), stage)["retrieved"]
            found = [document_language(document) for document in documents]
        own = detect_language(state["question"])
        languages = sorted(dict.fromkeys(found), key=lambda code: code != own)
        kept = languages if settings.languages else languages[:_MOST_LANGUAGES]
        stage.details |= {"languages": kept, "left_out": languages[len(kept) :]}
        return {"languages": kept}

    def search(self, state: CompareBranch, settings: CompareContext, stage: Stage) -> Update:
        """Find, rank, quote and translate what one language says."""
        finding: LanguageFinding = {"language": state["of"], "documents": [], "quotes": [], "error": ""}
        try:
            found = self._found(state, settings, stage)
            finding["documents"] = found["documents"]
            finding["quotes"] = self._quotes(found, settings, stage)
        except NOT_OF_ONE_BRANCH:
            raise
        except Exception as error:
            stage.fall_back("the other languages", error)
            finding["error"] = f"{type(error).__name__}: {error}"
        stage.details |= {"language": state["of"], "kept": len(finding["documents"])}
        return {"findings": [finding]}

    def align(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Put the languages side by side, their passages counted in one row."""
        findings = sorted(state["findings"], key=lambda one: state["languages"].index(one["language"]))
        refuse_if_all_failed([finding["error"] for finding in findings])
        documents: list[Document] = []
        by_language: list[LanguageFinding] = []
        for finding in findings:
            quotes = [_moved(quote, len(documents)) for quote in finding["quotes"]]
            by_language.append({**finding, "quotes": quotes})
            documents += finding["documents"]
        stage.details |= {"quotes": {one["language"]: len(one["quotes"]) for one in by_language}}
        return {"by_language": by_language, "documents": documents, "hard": len(findings) > 1}

    def generate(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Write what the languages say; without a model the quotes stand for themselves."""
        if self.model is None:
            return {}
        update = self.shared.generate(_compared(state), _corrective(settings), stage)
        return {} if update.get("citations") or update.get("abstained") else update

    def verify(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Hold what the model wrote against the passages."""
        if not state["answer"]:
            return {"move": "cite"}
        return self.shared.verify(state, _corrective(settings), stage)

    def repair(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Ask once for better words; without them the quotes stand for themselves."""
        update = self.shared.repair(_compared(state), _corrective(settings), stage)
        extractive = update.get("citations") or update.get("abstained")
        return {"answer": "", "verification": None} if extractive else update

    def cite(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Put the quotes under the words, resolve all markers, and treat what is unsupported."""
        words: Update = {}
        if state["answer"]:
            words = self.shared.cite(state, _corrective(settings), stage)
        written = "" if words.get("abstained") else words.get("answer", "")
        quoted = "\n\n".join(_section(one) for one in state["by_language"] if one["quotes"])
        checked = verify_citations(quoted, state["documents"], language=state["language"])
        lead = written or phrase(state["language"], "from_documents")
        kept = treat_unsupported(quoted, checked, settings.unsupported)
        answer = "\n\n".join([lead, kept, *_silent(state)])
        of_words = list(words["citations"]) if written else []
        verification = _both(state["verification"], checked, len(state["answer"] or lead) + 2)
        stage.details["verification"] = verification
        return {
            "messages": [_message(state, answer)],
            "answer": answer,
            "citations": of_words + [one for one in _exact(state) if one not in of_words],
            "verification": verification,
            "abstained": False,
        }

    def abstain(self, state: CompareState, settings: CompareContext, stage: Stage) -> Update:
        """Say in the reader's language that the documents hold no answer."""
        return self.shared.abstain(state, _corrective(settings), stage)

    def _over(self, retriever: BaseRetriever | VectorStore) -> CorrectiveNodes:
        return CorrectiveNodes(self.model, self.reranker, RagNodes(self.model, retriever, self.reranker))

    def _found(self, state: CompareBranch, settings: CompareContext, stage: Stage) -> CompareBranch:
        """The state after a search in one language, for the question in that language, too."""
        source = InLanguage(
            source=self.retriever,
            language=state["of"],
            limit=settings.candidates,
            announce=stage.fall_back,
        )
        nodes, told = self._over(source), _corrective(settings, [state["of"]])
        if self.model is not None:
            state = _with(state, nodes.translate(state, told, stage))
        state = _with(state, nodes.retrieve(state, told, stage))
        return _with(state, nodes.rerank(state, told, stage))

    def _quotes(self, state: CompareBranch, settings: CompareContext, stage: Stage) -> list[Quote]:
        """The best sentences of the passages, each with its translation."""
        query = state["translations"].get(state["of"], state["question"])
        quote = partial(extract_answer, language=state["language"], sentences=settings.sentences)
        try:
            _, citations = quote(query, state["documents"], self.reranker)
        except NOT_OF_ONE_BRANCH:
            raise
        except Exception as error:
            stage.fall_back("first sentence", error)
            _, citations = quote(query, state["documents"], None)
        foreign = state["of"].split("-")[0] != state["language"].split("-")[0]
        model = self.model if foreign else None
        return [
            {**one, "translation": translated(model, one["quote"], state["language"], stage) if model else ""}
            for one in citations
        ]


def searches(state: CompareState) -> list[Send]:
    """A branch for each language."""
    return [Send("search", _branch(state, language)) for language in state["languages"]]


def _branch(state: CompareState, language: str) -> dict[str, Any]:
    """What a branch needs to know: a search of its own, without the conversation."""
    fresh: Update = {"translations": {}, "tried": [], "retrieved": [], "documents": []}
    known = {"question": state["question"], "queries": [state["question"]], "language": state["language"]}
    return {**fresh, **known, "of": language, "width": state["width"], "timings": state["timings"]}


def _corrective(settings: CompareContext, languages: Sequence[str] = ()) -> CorrectiveContext:
    """The settings as the nodes of `corrective_rag` take them."""
    known = settings.model_dump(include=set(RagContext.model_fields))
    return CorrectiveContext(**known, languages=list(languages))


def _compared(state: CompareState) -> CompareState:
    """The state with a question for each language."""
    lines, number = [], 0
    for finding in state["by_language"]:
        markers = "".join(f"[{number + place}]" for place in range(1, len(finding["documents"]) + 1))
        lines += [f"- {language_name(finding['language'])}: {markers}"] if markers else []
        number += len(finding["documents"])
    question = COMPARE.format(question=state["question"], languages="\n".join(lines))
    return cast(CompareState, {**state, "question": question})


def _section(finding: LanguageFinding) -> str:
    """The quotes of one language under its name."""
    lines = [f"{_endonym(finding['language'])}:"]
    for quote in finding["quotes"]:
        lines.append(f"{quote['quote']} [{quote['marker']}]")
        if quote["translation"]:
            lines.append(f"{quote['translation']} [{quote['marker']}]")
    return "\n".join(lines)


def _silent(state: CompareState) -> list[str]:
    """A line for each language that says nothing, or whose search failed."""
    nothing = phrase(state["language"], "abstain")
    return [
        f"{_endonym(finding['language'])}: {_FAILED if finding['error'] else nothing}"
        for finding in state["by_language"]
        if not finding["quotes"]
    ]


def _endonym(code: str) -> str:
    """How a language calls itself, or its code when nobody knows."""
    return code if language_name(code) == code else phrase(code, "endonym")


def _moved(quote: Quote, places: int) -> Quote:
    return {**quote, "marker": quote["marker"] + places}


def _exact(state: CompareState) -> list[Citation]:
    return [
        {"marker": quote["marker"], "source": quote["source"], "quote": quote["quote"]}
        for finding in state["by_language"]
        for quote in finding["quotes"]
    ]


def _both(words: Verification | None, quotes: Verification, offset: int) -> Verification:
    """What was found about the words and about the quotes that begin `offset` characters after them."""
    moved = [
        {**sentence, "start": sentence["start"] + offset, "end": sentence["end"] + offset}
        for sentence in quotes["sentences"]
    ]
    before = words or {"sentences": [], "claims": 0, "supported": 0}
    return {
        "sentences": [*before["sentences"], *cast(Any, moved)],
        "claims": before["claims"] + quotes["claims"],
        "supported": before["supported"] + quotes["supported"],
    }


def _message(state: CompareState, answer: str) -> AIMessage:
    """The model's message with the whole answer, or a new one when it wrote none."""
    last = state["messages"][-1]
    return last.model_copy(update={"content": answer}) if isinstance(last, AIMessage) else AIMessage(answer)


def _with(state: CompareBranch, update: Update) -> CompareBranch:
    return cast(CompareBranch, {**state, **update})
