"""What the commands do: values in, values out. Knows every layer, prints nothing."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, TypedDict

from langchain_core.documents import Document
from langchain_core.messages import HumanMessage

from qwen_agentkit.cli.trace import Recorder, page
from qwen_agentkit.engine.checkpoint.identity import identify
from qwen_agentkit.engine.checkpoint.loading import load_tokenizer
from qwen_agentkit.errors import InputError
from qwen_agentkit.graphs.rag.graph import RagGraph, passage_prompt
from qwen_agentkit.graphs.shared.state import RagContext, RagState
from qwen_agentkit.ingest import IngestReport
from qwen_agentkit.ingest import ingest as ingest_paths
from qwen_agentkit.ingest.splitting import CountTokens
from qwen_agentkit.ray import spread
from qwen_agentkit.stack import Stack
from qwen_agentkit.text.citations import Citation, document_source
from qwen_agentkit.vectorstores.store import QwenVectorStore

__all__ = [
    "AskResult",
    "FoundDocument",
    "SearchResult",
    "ask",
    "demo_questions",
    "demo_store",
    "handbook",
    "ingest",
    "ingest_on_ray",
    "search",
]

Progress = Callable[[str, int, int], None]
OnEvent = Callable[[str, Any], None]


class FoundDocument(TypedDict):
    """A passage as the commands report it; scores are None where a stage gave none."""

    source: str
    text: str
    language: str
    score: float | None
    retrieval_score: float | None


class SearchResult(FoundDocument):
    """A passage and its place in the first stage, counted from one."""

    rank_before: int


class AskResult(TypedDict):
    """An answer and all that led to it."""

    question: str
    language: str
    answer: str
    abstained: bool
    reasoning: str
    citations: list[Citation]
    documents: list[FoundDocument]
    timings: dict[str, float]


def ingest(
    stack: Stack, paths: Sequence[Path], progress: Progress | None = None, *, groups: bool = False
) -> IngestReport:
    """Bring the store up to date with the files under `paths`; their first folders may name `groups`."""
    with stack.store(create=True) as store:
        return ingest_paths(paths, store, count_tokens=stack.count_tokens, groups=groups, progress=progress)


def ingest_on_ray(
    stack: Stack,
    paths: Sequence[Path],
    progress: Progress | None = None,
    *,
    groups: bool = False,
    workers: int | None = None,
) -> IngestReport:
    """As `ingest`, but `workers` on a Ray cluster embed; see `qwen_agentkit.ray.spread`.

    What they finish lies in the folder `.shards` of the store until all of it is in the store, so that a run
    that was killed is gone on with. No weights load in this process.
    """
    compute = spread(stack.embeddings, workers)
    from qwen_agentkit.vectorstores.shards import ShardedEmbeddings  # needs what Ray brings along

    embeddings = ShardedEmbeddings(stack.embeddings, stack.folder / ".shards", compute)
    bar = partial(progress, "ray") if progress else None
    with QwenVectorStore(embeddings, path=stack.folder) as store:
        store.check_maker(int(stack.embeddings.fingerprint["dimensions"]))
        report = ingest_paths(
            paths,
            store,
            count_tokens=_token_counter(stack),
            groups=groups,
            progress=progress,
            prepare=lambda texts: embeddings.prepare(texts, bar),
        )
    embeddings.clear()
    return report


def _token_counter(stack: Stack) -> CountTokens:
    """Counts as the embedder of a stack does, without its weights."""
    tokenizer = load_tokenizer(identify(stack.embeddings.model))
    return lambda texts: [
        len(found.ids) for found in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    ]


def search(stack: Stack, query: str, *, candidates: int, limit: int) -> list[SearchResult]:
    """The best passages for `query`: hybrid retrieval, then the reranker."""
    _check_question(query)
    with stack.store() as store:
        found = store.as_retriever(search_kwargs={"k": candidates}).invoke(query)
    places = {id(document): place for place, document in enumerate(found, 1)}
    scores = stack.reranker.rerank(query, [document.page_content for document in found])
    return [
        {
            **_found(found[best["index"]], best["relevance_score"]),
            "rank_before": places[id(found[best["index"]])],
        }
        for best in scores[:limit]
    ]


def ask(
    stack: Stack,
    question: str,
    *,
    thinking: bool | None = None,
    settings: dict[str, Any] | None = None,
    on_event: OnEvent | None = None,
    trace: Path | None = None,
) -> AskResult:
    """Run the `rag` graph on one question.

    Args:
        stack: the models and the store.
        question: what is asked, in any language.
        thinking: as the chat model's; None leaves it to the model.
        settings: of the graph, see `RagContext`.
        on_event: called with ("reasoning", text) and ("answer", text) as they stream, and with
            ("stage", {"stage", "seconds"}) after every node.
        trace: where a report of the run is written to, as one page of HTML; a file there is replaced.

    Raises:
        InputError: the question is empty, or the report cannot be written.
    """
    _check_question(question)
    recorder = Recorder()
    context = RagContext(thinking=thinking, **(settings or {}))
    with stack.store() as store:
        state = _run(stack.rag_graph(store), question, context, on_event, recorder)
    if stack.answering is None and thinking and state["documents"]:
        start = time.perf_counter()
        state["reasoning"] = _think_aloud(stack, state, on_event, recorder)
        state["timings"]["think"] = time.perf_counter() - start
    if trace is not None:
        _write(trace, page(recorder, state, models=stack.checkpoints()))
    return {
        "question": question,
        "language": state["language"],
        "answer": state["answer"],
        "abstained": state["abstained"],
        "reasoning": state["reasoning"],
        "citations": state["citations"],
        "documents": [_found(document) for document in state["documents"]],
        "timings": state["timings"],
    }


def _run(
    graph: RagGraph, question: str, context: RagContext, on_event: OnEvent | None, recorder: Recorder
) -> Any:
    """The last state of the graph, its events reported on the way."""
    state: Any = {}
    for mode, event in graph.compile().stream(
        {"messages": [HumanMessage(question)]},
        {"callbacks": [recorder]},
        context=context,
        stream_mode=["values", "custom", "messages"],
    ):
        if mode == "custom":
            recorder.event(event)
        if mode == "values":
            state = event
        elif on_event and mode == "custom":
            on_event("stage", event)
        elif on_event:
            _report_chunk(event[0], on_event)
    return state


def handbook() -> Path:
    """Folder of the bundled sample documents."""
    return Path(str(files("qwen_agentkit") / "data" / "handbook"))


def demo_questions() -> list[dict[str, str]]:
    """The questions of the demo, each with its language and what kind it is."""
    text = (files("qwen_agentkit") / "data" / "demo_questions.json").read_text(encoding="utf-8")
    questions: list[dict[str, str]] = json.loads(text)
    return questions


def demo_store() -> Path:
    """A fresh folder for the demo's store, outside the current one; it stays for further questions."""
    return Path(tempfile.mkdtemp(prefix="qwen-agentkit-demo-")) / "store"


def _check_question(question: str) -> None:
    if not question.strip():
        raise InputError(
            f"The question {question!r} is empty; expected words, as in: "
            'qwen-agentkit ask "When does the library open?"'
        )
    try:
        question.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"The question {question!r} is not valid text in this terminal's encoding; expected UTF-8. "
            "Set a UTF-8 locale, such as LC_ALL=C.UTF-8."
        ) from error


def _report_chunk(message: Any, on_event: OnEvent) -> None:
    if message.type != "AIMessageChunk":
        return  # a whole message that a node returned: its pieces were reported
    if thought := message.additional_kwargs.get("reasoning_content"):
        on_event("reasoning", thought)
    if message.text:
        on_event("answer", message.text)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{str(file)!r} cannot be written ({error.strerror}); expected a file in a folder that exists "
            "and is yours. Type, for instance: --trace out.html"
        ) from error


def _think_aloud(stack: Stack, state: RagState, on_event: OnEvent | None, recorder: Recorder) -> str:
    """What the preset's chat model thinks of the passages, when it does not write the answer."""
    thoughts: list[str] = []
    for piece in _thoughts(stack, state, recorder):
        thoughts.append(piece)
        if on_event:
            on_event("reasoning", piece)
    return "".join(thoughts)


def _thoughts(stack: Stack, state: RagState, recorder: Recorder) -> Iterator[str]:
    stream = stack.chat.stream(
        passage_prompt(state), {"callbacks": [recorder]}, thinking=True, max_tokens=160
    )
    for chunk in stream:
        if thought := chunk.additional_kwargs.get("reasoning_content"):
            yield thought
        elif chunk.text:
            return  # thinking is over; what follows would be the answer


def _found(document: Document, score: float | None = None) -> FoundDocument:
    metadata = document.metadata
    return {
        "source": document_source(document),
        "text": document.page_content,
        "language": str(metadata.get("language", "")),
        "score": metadata.get("relevance_score") if score is None else score,
        "retrieval_score": metadata.get("retrieval_score"),
    }
