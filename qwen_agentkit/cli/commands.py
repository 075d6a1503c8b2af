"""The work of the commands: values in, values out. Knows every layer, prints nothing."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from langchain_core.documents import Document

from qwen_agentkit.errors import InputError
from qwen_agentkit.stack import Stack
from qwen_agentkit.text.citations import Citation, document_source

# Each command imports what it alone needs: a search takes a third of the time without graphs and loaders.
if TYPE_CHECKING:
    from qwen_agentkit.cli.trace import Recorder
    from qwen_agentkit.graphs.rag.graph import RagGraph
    from qwen_agentkit.graphs.shared.state import NearestPassage, RagContext, RagState
    from qwen_agentkit.ingest import IngestReport
    from qwen_agentkit.ingest.ocr import OcrMode
    from qwen_agentkit.ingest.splitting import CountTokens
    from qwen_agentkit.ingest.watching import WatchReport

__all__ = [
    "AskResult",
    "FoundDocument",
    "SearchResult",
    "ask",
    "handbook_folder",
    "ingest",
    "ingest_on_ray",
    "load_demo_questions",
    "make_demo_store",
    "search",
    "watch",
]

Progress = Callable[[str, int, int], None]
OnEvent = Callable[[str, Any], None]


class FoundDocument(TypedDict):
    """A passage as the commands report it. A score is None if its stage gave none."""

    source: str
    text: str
    language: str
    score: float | None
    retrieval_score: float | None


class SearchResult(FoundDocument):
    """A passage, its rank in the first stage, counted from one, and whether it scores as relevant."""

    rank_before: int
    relevant: bool


class AskResult(TypedDict):
    """An answer and what led to it. An abstention has the nearest passages."""

    question: str
    language: str
    answer: str
    abstained: bool
    nearest: list[NearestPassage]
    threshold: float
    reasoning: str
    citations: list[Citation]
    documents: list[FoundDocument]
    timings: dict[str, float]


def ingest(
    stack: Stack,
    paths: Sequence[Path],
    progress: Progress | None = None,
    *,
    groups: bool = False,
    ocr: OcrMode = "auto",
    ocr_languages: Sequence[str] = (),
    encoding: str | None = None,
) -> IngestReport:
    """Bring the store up to date with the files under `paths`; see `qwen_agentkit.ingest.ingest`."""
    from qwen_agentkit.ingest import ingest as ingest_paths

    with stack.store(create=True) as store:
        return ingest_paths(
            paths,
            store,
            count_tokens=stack.count_tokens,
            groups=groups,
            ocr=ocr,
            ocr_languages=ocr_languages,
            encoding=encoding,
            progress=progress,
        )


def watch(
    stack: Stack,
    paths: Sequence[Path],
    *,
    groups: bool = False,
    ocr: OcrMode = "auto",
    ocr_languages: Sequence[str] = (),
    encoding: str | None = None,
) -> Iterator[WatchReport]:
    """Do what `ingest` does now and whenever files change, until Ctrl-C. Yields what each run did.

    The store is open only during a run, so that others can write to it between two.
    """
    from qwen_agentkit.ingest.watching import file_changes
    from qwen_agentkit.ingest.watching import watch as watch_changes

    run = partial(
        ingest, stack, paths, groups=groups, ocr=ocr, ocr_languages=ocr_languages, encoding=encoding
    )
    return watch_changes(run, file_changes(paths))


def ingest_on_ray(
    stack: Stack,
    paths: Sequence[Path],
    progress: Progress | None = None,
    *,
    groups: bool = False,
    ocr: OcrMode = "auto",
    ocr_languages: Sequence[str] = (),
    encoding: str | None = None,
    workers: int | None = None,
) -> IngestReport:
    """Do what `ingest` does, with `workers` of a Ray cluster that embed; see `qwen_agentkit.ray.spread`.

    Finished vectors stay in the folder `.shards` of the store until all of them are stored, so a run that was
    killed continues where it stopped. This process loads no weights.
    """
    from qwen_agentkit.ray import spread

    stack.check_maker()
    compute = spread(stack.embeddings, workers)
    from qwen_agentkit.ingest import ingest as ingest_paths
    from qwen_agentkit.vectorstores.shards import ShardedEmbeddings  # pyarrow comes with Ray
    from qwen_agentkit.vectorstores.store import QwenVectorStore

    embeddings = ShardedEmbeddings(stack.embeddings, stack.folder / ".shards", compute)
    bar = partial(progress, "ray") if progress else None
    with QwenVectorStore(embeddings, path=stack.folder, quantization=stack.quantization) as store:
        store.check_maker(int(stack.embeddings.fingerprint["dimensions"]))
        report = ingest_paths(
            paths,
            store,
            count_tokens=_make_token_counter(stack),
            groups=groups,
            ocr=ocr,
            ocr_languages=ocr_languages,
            encoding=encoding,
            progress=progress,
            prepare=lambda texts: embeddings.prepare(texts, bar),
        )
    embeddings.clear()
    return report


def _make_token_counter(stack: Stack) -> CountTokens:
    """Return a function that counts tokens as the embedder of the stack does, without its weights."""
    from qwen_agentkit.engine.checkpoint.identity import identify
    from qwen_agentkit.engine.checkpoint.loading import load_tokenizer

    tokenizer = load_tokenizer(identify(stack.embeddings.model))
    return lambda texts: [
        len(found.ids) for found in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    ]


def search(stack: Stack, query: str, *, candidates: int, limit: int) -> list[SearchResult]:
    """Return the best passages for the query: hybrid retrieval, then the reranker unless it does harm."""
    _check_question(query)
    with stack.store() as store:
        found = store.as_retriever(search_kwargs={"k": candidates}).invoke(query)
    places = {document.id: place for place, document in enumerate(found, 1)}
    return [
        {
            **_describe_document(best),
            "rank_before": places[best.id],
            "relevant": best.metadata["relevance_score"] >= stack.calibration.threshold,
        }
        for best in stack.reranker.compress_documents(found, query)[:limit]
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
    """Answer one question with the `rag` graph.

    Args:
        stack: The models and the store.
        question: The question, in any language.
        thinking: Whether the chat model thinks. None leaves it to the model.
        settings: Settings of the graph, see `RagContext`.
        on_event: Called with ("reasoning", text) and ("answer", text) as they stream, and with
            ("stage", {"stage", "seconds"}) after every node.
        trace: File for a report of the run, one HTML page. An existing file is replaced.

    Raises:
        InputError: The question is empty, or the report cannot be written.
    """
    from qwen_agentkit.cli.trace import Recorder, render_page
    from qwen_agentkit.graphs.shared.retrieval import relevance_threshold
    from qwen_agentkit.graphs.shared.state import RagContext

    _check_question(question)
    recorder = Recorder()
    context = RagContext(thinking=thinking, **(settings or {}))
    with stack.store() as store:
        state = _run_graph(stack.rag_graph(store), question, context, on_event, recorder)
    if stack.answering is None and thinking and state["documents"]:
        start = time.perf_counter()
        state["reasoning"] = _think_about_passages(stack, state, on_event, recorder)
        state["timings"]["think"] = time.perf_counter() - start
    if trace is not None:
        _write_trace(trace, render_page(recorder, state, models=stack.checkpoints()))
    return {
        "question": question,
        "language": state["language"],
        "answer": state["answer"],
        "abstained": state["abstained"],
        "nearest": state["nearest"],
        "threshold": relevance_threshold(stack.reranker, context.min_score),
        "reasoning": state["reasoning"],
        "citations": state["citations"],
        "documents": [_describe_document(document) for document in state["documents"]],
        "timings": state["timings"],
    }


def _run_graph(
    graph: RagGraph, question: str, context: RagContext, on_event: OnEvent | None, recorder: Recorder
) -> Any:
    """Run the graph, report its events, and return its last state."""
    from langchain_core.messages import HumanMessage

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


def handbook_folder() -> Path:
    """Return the folder of the bundled sample documents."""
    return Path(str(files("qwen_agentkit") / "data" / "handbook"))


def load_demo_questions() -> list[dict[str, Any]]:
    """Return the questions of the demo, each with its language, its kind and the words of its answer."""
    text = (files("qwen_agentkit") / "data" / "demo_questions.json").read_text(encoding="utf-8")
    questions: list[dict[str, Any]] = json.loads(text)
    return questions


def make_demo_store() -> Path:
    """Return a new folder for the store of the demo. It stays, for further questions."""
    return Path(tempfile.mkdtemp(prefix="qwen-agentkit-demo-")) / "store"


def _check_question(question: str) -> None:
    if not question.strip():
        raise InputError(
            f'The question {question!r} is empty; expected words, such as "When does the library open?"'
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
        return  # the whole message of a node, whose chunks were reported already
    if thought := message.additional_kwargs.get("reasoning_content"):
        on_event("reasoning", thought)
    if message.text:
        on_event("answer", message.text)


def _write_trace(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{str(file)!r} cannot be written ({error.strerror}); expected a file in a folder that you "
            "can write to. Type, for instance: --trace out.html"
        ) from error


def _think_about_passages(stack: Stack, state: RagState, on_event: OnEvent | None, recorder: Recorder) -> str:
    """Return the thoughts of the chat model about the passages, for a preset that quotes its answers.

    They are in the reader's language, or "".
    """
    from qwen_agentkit.graphs.shared.answers import is_other_language

    thoughts = "".join(_stream_thoughts(stack, state, recorder))
    if is_other_language(thoughts, state["language"]):
        return ""  # a small model may think in another language than the reader's
    if on_event and thoughts:
        on_event("reasoning", thoughts)
    return thoughts


def _stream_thoughts(stack: Stack, state: RagState, recorder: Recorder) -> Iterator[str]:
    from qwen_agentkit.graphs.shared.passages import passage_prompt

    stream = stack.chat.stream(
        passage_prompt(state), {"callbacks": [recorder]}, thinking=True, max_tokens=160
    )
    for chunk in stream:
        if thought := chunk.additional_kwargs.get("reasoning_content"):
            yield thought
        elif chunk.text:
            return  # the answer begins, which this preset does not use


def _describe_document(document: Document) -> FoundDocument:
    metadata = document.metadata
    return {
        "source": document_source(document),
        "text": document.page_content,
        "language": str(metadata.get("language", "")),
        "score": metadata.get("relevance_score"),
        "retrieval_score": metadata.get("retrieval_score"),
    }
