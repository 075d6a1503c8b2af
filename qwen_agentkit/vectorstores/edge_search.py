"""One search of a shard in qdrant-edge's own types: by vectors, in two stages, or by words."""

from __future__ import annotations

import qdrant_edge as edge

from qwen_agentkit.vectorstores.conditions import Condition
from qwen_agentkit.vectorstores.edge_points import edge_filter
from qwen_agentkit.vectorstores.points import DENSE, FIRST_STAGE, SPARSE, Layout, SparseVector

__all__ = ["search_request"]


def search_request(
    query: list[float] | SparseVector,
    limit: int,
    condition: Condition,
    layout: Layout,
    corpus: Condition,
    *,
    with_vectors: bool,
) -> edge.QueryRequest:
    """Return the request of a search; see `Backend.search`."""
    filter, prefetches = edge_filter(condition), []
    if isinstance(query, tuple):
        nearest = edge.Query.Nearest(edge.SparseVector(*query), using=SPARSE)
        # Without a corpus, deleted points count until the shard is loaded again.
        params = edge.SearchParams(idf=edge.IdfParams(corpus=edge_filter(corpus)))
    else:
        nearest = edge.Query.Nearest(query, using=DENSE)
        again = edge.QuantizationSearchParams(rescore=True, oversampling=float(layout.oversampling))
        params = edge.SearchParams(quantization=again if layout.quantization else None)
        if layout.first_stage:
            first = edge.Query.Nearest(query[: layout.first_stage], using=FIRST_STAGE)
            prefetches = [edge.Prefetch(layout.candidates(limit), first, params=params, filter=filter)]
    return edge.QueryRequest(
        limit=limit,
        query=nearest,
        prefetches=prefetches,
        filter=filter,
        params=params,
        with_payload=True,
        with_vector=[DENSE] if with_vectors else False,
    )
