"""`QwenVectorStore` and its back ends on Qdrant."""

from __future__ import annotations

from qwen_agentkit.vectorstores.store import QwenVectorStore

__all__ = ["QwenVectorStore"]
