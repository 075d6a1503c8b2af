"""What the graphs say to a chat model. Constants only."""

from __future__ import annotations

__all__ = ["ANSWER", "PASSAGE", "QUESTION"]

ANSWER = (
    "Answer the question from the numbered passages only. Quote or paraphrase them closely and put the "
    "number of the passage after each sentence, like [1]. If the passages do not answer the question, "
    "say so. Answer in {language}."
)

PASSAGE = "[{number}] {source}\n{text}"

QUESTION = "Passages:\n{passages}\n\nQuestion: {question}"
