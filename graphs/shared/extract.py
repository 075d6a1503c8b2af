"""An answer without a chat model: the sentences that score highest, quoted and cited."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.documents import BaseDocumentCompressor, Document

from qwen_agentkit.text.citations import Citation, document_source
from qwen_agentkit.text.languages import phrase
from qwen_agentkit.text.sentences import split_sentences

__all__ = ["extract_answer"]

# A further sentence is quoted only when it scores nearly as high as the best one.
_NEAR_BEST = 0.9


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
        question: what is asked.
        documents: the passages; marker [n] is the n-th.
        reranker: writes `relevance_score` into the metadata of what it ranks.
        language: of the reader; only the words around the quotes are in it.
        sentences: most sentences to quote.

    Returns:
        The answer and its citations, in the same order; ("", []) when no document has a sentence.
    """
    candidates = [
        sentence for number, document in enumerate(documents, 1) for sentence in _sentences(number, document)
    ]
    if reranker is None or not candidates:
        best = candidates[:1]
    else:
        best = _best(reranker.compress_documents(candidates, question))[:sentences]
    if not best:
        return "", []
    citations: list[Citation] = [
        {"marker": s.metadata["marker"], "source": s.metadata["source"], "quote": s.page_content}
        for s in best
    ]
    lines = [f"{c['quote']} [{c['marker']}]" for c in citations]
    return "\n".join([phrase(language, "from_documents"), *lines]), citations


def _sentences(number: int, document: Document) -> list[Document]:
    """The sentences of a passage without its title and headings, which say little and match much."""
    metadata = document.metadata
    headings = {str(metadata.get("title", "")), *str(metadata.get("section", "")).split(" > ")}
    found = []
    for text, start, _ in split_sentences(document.page_content):
        line = document.page_content[:start].rpartition("\n")[2]
        if text not in headings and not line.lstrip().startswith("#"):
            place = {"marker": number, "source": document_source(document)}
            found.append(Document(text, metadata={**place, "passage_score": _score(document)}))
    return found


def _best(ranked: Sequence[Document]) -> list[Document]:
    """The sentences that score nearly as high as the best one, together with their passages."""
    joint = {id(sentence): _score(sentence) * sentence.metadata["passage_score"] for sentence in ranked}
    order = sorted(ranked, key=lambda sentence: -joint[id(sentence)])
    return [s for s in order if joint[id(s)] >= _NEAR_BEST * max(joint.values())]


def _score(document: Document) -> float:
    return float(document.metadata.get("relevance_score", 1))
