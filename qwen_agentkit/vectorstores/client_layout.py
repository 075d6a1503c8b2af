"""The vectors of a collection in qdrant-client's models, and how they are searched."""

from __future__ import annotations

from qdrant_client import models

from qwen_agentkit.vectorstores.client_filters import client_filter
from qwen_agentkit.vectorstores.conditions import EVERYTHING, Condition
from qwen_agentkit.vectorstores.points import DENSE, FIRST_STAGE, Layout, Quantization

__all__ = ["client_vectors", "read_layout", "search_params", "words_params"]

_QUANTIZATIONS: dict[str, models.ScalarQuantization | models.BinaryQuantization] = {
    "scalar": models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
    ),
    "binary": models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True)),
}


def client_vectors(layout: Layout) -> models.VectorParams | dict[str, models.VectorParams]:
    """Return the dense vectors of a new collection. What is only compared again stays on disk."""
    on_disk = True if layout.quantization or layout.first_stage else None
    dense = _params(layout.dimensions, on_disk)
    if layout.first_stage is None:
        dense.quantization_config = _QUANTIZATIONS.get(layout.quantization or "")
        return dense
    first = _params(layout.first_stage, on_disk)
    first.quantization_config = _QUANTIZATIONS.get(layout.quantization or "")
    return {DENSE: dense, FIRST_STAGE: first}


def read_layout(config: models.CollectionConfig) -> Layout | None:
    """Read the layout of a collection; None if it has no unnamed dense vector."""
    vectors = config.params.vectors
    named = vectors if isinstance(vectors, dict) else {DENSE: vectors}
    dense, first = named.get(DENSE), named.get(FIRST_STAGE)
    if dense is None:
        return None
    found = (first or dense).quantization_config or config.quantization_config
    names: dict[type, Quantization] = {
        models.ScalarQuantization: "scalar",
        models.BinaryQuantization: "binary",
    }
    return Layout(dense.size, names.get(type(found)), first.size if first else None)


def search_params(layout: Layout) -> models.SearchParams | None:
    """Return the parameters of a search by vectors: quantized ones are compared again, exactly."""
    if layout.quantization is None:
        return None
    again = models.QuantizationSearchParams(rescore=True, oversampling=layout.oversampling)
    return models.SearchParams(quantization=again)


def words_params(corpus: Condition) -> models.SearchParams | None:
    """Return the parameters of a search by words; without any, the server counts words in all points."""
    if corpus == EVERYTHING:
        return None
    return models.SearchParams(idf=models.IdfCorpusParams(corpus=client_filter(corpus)))


def _params(size: int, on_disk: bool | None) -> models.VectorParams:
    return models.VectorParams(size=size, distance=models.Distance.COSINE, on_disk=on_disk)
