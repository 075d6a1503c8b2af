"""An answer without a chat model: the sentences that score highest, quoted and cited."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.documents import BaseDocumentCompressor, Document

from qwen_agentkit.citations import Citation, document_source
from qwen_agentkit.languages import phrase
from qwen_agentkit.sentences import split_sentences

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
        Document(sentence.text, metadata={"marker": number, "source": document_source(document)})
        for number, document in enumerate(documents, 1)
        for sentence in split_sentences(document.page_content)
        if not sentence.text.lstrip().startswith("#") and len(sentence.text) > 1
    ]
    if not candidates:
        return "", []
    if reranker is None:
        best = candidates[:1]
    else:
        ranked = reranker.compress_documents(candidates, question)
        bar = _NEAR_BEST * float(ranked[0].metadata.get("relevance_score", 0)) if ranked else 0.0
        near = [s for s in ranked if float(s.metadata.get("relevance_score", 0)) >= bar]
        best = near[:sentences]
    citations: list[Citation] = [
        {"marker": s.metadata["marker"], "source": s.metadata["source"], "quote": s.page_content}
        for s in best
    ]
    lines = [f"{c['quote']} [{c['marker']}]" for c in citations]
    return "\n".join([phrase(language, "from_documents"), *lines]), citations
