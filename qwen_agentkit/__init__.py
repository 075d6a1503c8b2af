"""Local Qwen3 models as first-class citizens of LangChain and LangGraph.

Names resolve on first use, so that importing the package loads neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwen_agentkit.chat_models import ChatQwen
    from qwen_agentkit.decisions import QwenDecisions
    from qwen_agentkit.embeddings import QwenEmbeddings
    from qwen_agentkit.rerankers import QwenReranker
    from qwen_agentkit.vectorstores.store import QwenVectorStore

__all__ = [
    "ChatQwen",
    "QwenDecisions",
    "QwenEmbeddings",
    "QwenReranker",
    "QwenVectorStore",
    "__version__",
]

__version__ = version("qwen-agentkit")

_HOME = {
    "ChatQwen": "chat_models",
    "QwenDecisions": "decisions",
    "QwenEmbeddings": "embeddings",
    "QwenReranker": "rerankers",
    "QwenVectorStore": "vectorstores",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
