"""Documents in three languages in, cited answers out, offline."""

from qwen_agentkit import QwenEmbeddings, QwenReranker, QwenVectorStore
from qwen_agentkit.graphs import create_rag_graph

store = QwenVectorStore(QwenEmbeddings(model="nano"), path=":memory:")
store.add_texts(
    ["The library opens at nine.", "يغادر القارب في السابعة والنصف.", "窑炉最高温度为1230度。"],
    [{"source": "hours.md"}, {"source": "boat.md"}, {"source": "kiln.md"}],
)
graph = create_rag_graph(None, store, reranker=QwenReranker(model="nano"))
for question in ["When does the library open?", "متى يغادر القارب؟", "窑炉最高温度是多少？"]:
    print(graph.invoke({"messages": [("user", question)]}, context={"sentences": 1})["answer"])
