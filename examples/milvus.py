"""RAG on Milvus Lite: python examples/milvus.py DOCS QUESTION [EMBEDDER RERANKER].

It needs: pip install langchain-milvus milvus-lite
"""

import sys
import tempfile
from pathlib import Path

from langchain_core.vectorstores import VectorStore
from langchain_milvus import Milvus

from qwen_agentkit import QwenEmbeddings, QwenReranker
from qwen_agentkit.graphs import create_rag_graph
from qwen_agentkit.ingest import load_chunks


def make_store(folder: str, database: Path, model: str) -> VectorStore:
    embeddings = QwenEmbeddings(model=model)
    index = {"index_type": "FLAT", "metric_type": "COSINE"}
    store = Milvus(embeddings, connection_args={"uri": str(database)}, index_params=index, auto_id=False)
    chunks = load_chunks([folder], count_tokens=embeddings.count_tokens).documents
    store.add_documents(chunks, ids=[chunk.id for chunk in chunks])
    return store


def main(folder: str, question: str, model: str = "nano", reranker_model: str = "nano") -> None:
    with tempfile.TemporaryDirectory() as place:
        store = make_store(folder, Path(place) / "milvus.db", model)
        reranker = QwenReranker(model=reranker_model)
        found = store.similarity_search(question, k=10)
        print("before:", *[document.page_content[:70] for document in found[:3]], sep="\n  ")
        ranked = reranker.compress_documents(found, question)
        print("after:", *[document.page_content[:70] for document in ranked[:3]], sep="\n  ")
        answer = create_rag_graph(None, store, reranker=reranker).invoke({"messages": [("user", question)]})
        print("answer:", answer["answer"])


if __name__ == "__main__":
    main(*sys.argv[1:])
