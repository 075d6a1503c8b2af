"""LangChain's structured queries as filters of the store, for `SelfQueryRetriever`.

::

    SelfQueryRetriever.from_llm(llm, store, contents, fields, structured_query_translator=FilterTranslator())
"""

from __future__ import annotations

from typing import Any

from langchain_core.structured_query import (
    Comparator,
    Comparison,
    Operation,
    Operator,
    StructuredQuery,
    Visitor,
)

__all__ = ["FilterTranslator"]


class FilterTranslator(Visitor):
    """Translates a structured query into the filter language of `QwenVectorStore`."""

    allowed_comparators = tuple(Comparator)
    allowed_operators = tuple(Operator)

    def visit_operation(self, operation: Operation) -> dict[str, Any]:
        """Translate and, or, not. Several parts of a "not" are all refused."""
        parts = [part.accept(self) for part in operation.arguments]
        return {"nor" if operation.operator == Operator.NOT else operation.operator.value: parts}

    def visit_comparison(self, comparison: Comparison) -> dict[str, Any]:
        """Translate a comparison. "like" means that the text is contained."""
        name, value = comparison.comparator.value, comparison.value
        if isinstance(value, dict):  # {"date": "2024-05-01", "type": "date"}
            value = value.get("date", value.get("datetime", value))
        if name in ("in", "nin") and not isinstance(value, list | tuple):
            value = [value]
        name = {"contain": "contains", "like": "contains"}.get(name, name)
        return {comparison.attribute: {name: value}}

    def visit_structured_query(self, structured_query: StructuredQuery) -> tuple[str, dict[str, Any]]:
        """Return the question, and the filter as an argument of a search."""
        found = structured_query.filter
        return structured_query.query, {"filter": found.accept(self)} if found is not None else {}
