"""The store and the models of one server, and what its users do with documents.

Knows one preset's objects and access by groups. Knows no web framework. Its methods block: call them in a
thread.
"""

from __future__ import annotations

import gc
import hashlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import BaseModel, ConfigDict

from qwen_agentkit.errors import AccessError, InputError, LoadError, OutOfMemoryError
from qwen_agentkit.serve.access import User
from qwen_agentkit.serve.names import check_document_name, check_name
from qwen_agentkit.serve.passages import Passage, describe_passage
from qwen_agentkit.serve.texts import check_visible
from qwen_agentkit.stack import Stack
from qwen_agentkit.text.citations import document_source
from qwen_agentkit.vectorstores.store import QwenVectorStore

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from qwen_agentkit.graphs.shared.models import ChatModel
    from qwen_agentkit.ingest import IngestReport

__all__ = [
    "FoundPassage",
    "Library",
    "ModelName",
    "ModelState",
    "ReadableRetriever",
    "StoredFile",
    "UploadReport",
]

ModelName = Literal["embedding", "reranker", "chat"]
ModelState = Literal["unloaded", "loading", "ready", "failed"]
UPLOADS = "uploads"
"""Name of the folder of uploaded files, and the beginning of their sources."""
_SPARE_BYTES = 256 << 20
"""Disk space that an upload must leave free."""


class StoredFile(BaseModel):
    """A document of the store."""

    id: str
    source: str
    title: str | None
    languages: list[str]
    group: str | None
    chunks: int
    uploaded: bool
    """Whether it was uploaded here. Any other document comes back when its folder is ingested again."""


class UploadReport(BaseModel):
    """What became of an upload."""

    source: str
    changed: bool
    """Whether it was new or had changed."""
    warnings: list[str]
    seconds: float


class FoundPassage(BaseModel):
    """A passage and its places before and after reranking, from 1."""

    passage: Passage
    before: int
    after: int


class ReadableRetriever(BaseRetriever):
    """Finds what one user may read. No other filter can widen that."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    vectorstore: QwenVectorStore
    readable: dict[str, Any]
    """The filter of the user."""
    limit: int = 200
    """Passages found at most; a graph keeps as many as its settings say."""

    @property
    def search_kwargs(self) -> dict[str, Any]:
        """The filter under the name that the agent's tools look for."""
        return {"filter": self.readable}

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        filter: dict[str, Any] | None = None,
        language: str | None = None,
    ) -> list[Document]:
        # The groups come last, so that no other filter can replace them.
        wanted = {**(filter or {}), **({"language": language} if language else {}), **self.readable}
        search = {"k": self.limit, **({"filter": wanted} if wanted else {})}
        return self.vectorstore.as_retriever(search_kwargs=search).invoke(query)


@dataclass
class Models:
    """The objects of one preset over the open store. All are dropped together to free their memory."""

    stack: Stack
    store: QwenVectorStore
    answering: BaseChatModel | None
    graphs: dict[Any, Any] = field(default_factory=dict)
    """Compiled graphs over these objects."""


class Library:
    """The open store of a server, its models, and the files that were uploaded.

    Args:
        stack: The preset and the folder of the store, which is made if need be.
        model: The chat model that answers, as `create_rag_graph` takes it; None for the preset's.
        groups: Whether uploaded files belong to groups.

    Raises:
        StoreLockedError: Another process has the store open.
        InputError: No model can be made from the name.
    """

    def __init__(self, stack: Stack, *, model: ChatModel = None, groups: bool = False) -> None:
        self.groups = groups
        self.data = stack.folder.with_name(f"{stack.folder.name}-serve")
        self.states: dict[ModelName, ModelState] = {}
        self._model = model
        self._writing = threading.Lock()
        self._loading: dict[ModelName, threading.Lock] = {
            "embedding": threading.Lock(),
            "reranker": threading.Lock(),
            "chat": threading.Lock(),
        }
        self._counting = threading.Lock()
        self._users = 0
        self._used = time.monotonic()
        self._files: dict[str, list[StoredFile]] = {}
        self.models = self._make_models(stack)

    @cached_property
    def uploads(self) -> Path:
        """The folder of uploaded files."""
        return self.data / UPLOADS

    def close(self) -> None:
        """Let other processes open the store."""
        self.models.store.close()

    @contextmanager
    def in_use(self) -> Iterator[Models]:
        """Yield the models, which stay in memory meanwhile."""
        with self._counting:
            self._users += 1
            models = self.models
        try:
            yield models
        finally:
            with self._counting:
                self._users -= 1
                self._used = time.monotonic()

    def unload_idle(self, seconds: float) -> bool:
        """Free the memory of the models if nobody has used them for so long. The store stays open."""
        with self._counting:
            if self._users or "ready" not in self.states.values() or time.monotonic() - self._used < seconds:
                return False
            old = self.models.stack
            # Fresh objects without weights; the store is shared inside the process, so its lock stays.
            fresh = Stack(old.preset, old.folder, groups=old.groups, quantization=old.quantization)
            self.models = self._make_models(fresh)
        gc.collect()  # graphs and models hold each other
        return True

    def load(self, models: Models, name: ModelName) -> None:
        """Load the weights of a model, unless they are in memory; `states` says how far it is."""
        if models is not self.models or self.states[name] == "ready":
            return
        with self._loading[name]:
            if self.states[name] == "ready":
                return
            self.states[name] = "loading"
            try:
                _run_once(models, name)
            except BaseException:
                self.states[name] = "failed"
                raise
            self.states[name] = "ready"

    def retriever(self, models: Models, user: User) -> ReadableRetriever:
        """A retriever of what the user may read."""
        return ReadableRetriever(vectorstore=models.store, readable=user.filter)

    def search(self, user: User, query: str, *, candidates: int, limit: int) -> list[FoundPassage]:
        """The best passages for a query: hybrid search, then the reranker.

        Raises:
            InputError: The query is empty.
        """
        check_visible(query, "The query")
        with self.in_use() as models:
            self.load(models, "embedding")
            self.load(models, "reranker")
            found = self.retriever(models, user).model_copy(update={"limit": candidates}).invoke(query)
            ranked = models.stack.reranker.compress_documents(found, query)
        places = {document.id: place for place, document in enumerate(found, 1)}
        return [
            FoundPassage(passage=describe_passage(document), before=places[document.id], after=place)
            for place, document in enumerate(ranked[:limit], 1)
        ]

    def read_around(self, user: User, id: str, reach: int) -> list[Passage]:
        """A passage and up to `reach` passages on each side, in the order of its document.

        Returns:
            The passages; none if there is no such passage that the user may read.
        """
        with self.in_use() as models:
            found = [one for one in models.store.get_by_ids([id]) if user.may_read(one.metadata.get("group"))]
            if not found:
                return []
            center = describe_passage(found[0])
            if center.chunk is None or not reach:
                return [center]
            near = models.store.scroll({"source": center.source, **user.filter})
            passages = [describe_passage(one) for one in near if document_source(one) == center.source]
        around = {
            one.chunk: one
            for one in passages
            if one.chunk is not None and abs(one.chunk - center.chunk) <= reach
        }
        return [around[place] for place in sorted(around)]

    def files(self, user: User) -> list[StoredFile]:
        """The documents that the user may read, by source."""
        key = repr(user.groups)
        known = self._files
        if key not in known:
            with self.in_use() as models:
                known[key] = _list_files(models.store, user)
        return known[key]

    def upload(self, user: User, name: str, content: Path, group: str | None = None) -> UploadReport:
        """Store an uploaded file, and bring the store up to date with it. An older one is replaced.

        Args:
            user: Who uploads.
            name: Of the file, without a folder.
            content: The file that was received, which is moved.
            group: Whose document it becomes, if documents belong to groups; None for a user of one group.

        Raises:
            AccessError: The user may not write, or not for this group.
            InputError: The name is not safe, or the group is missing.
            LoadError: The file cannot be read. The store is as before.
        """
        from qwen_agentkit.ingest import ingest  # its readers take a while to import

        folder = self._folder_of(user, group)
        target = folder / check_document_name(name)
        source = f"{UPLOADS}/{target.relative_to(self.uploads).as_posix()}"
        with self._writing, self.in_use() as models:
            folder.mkdir(parents=True, exist_ok=True)
            self._check_space(content.stat().st_size)
            with _replaced(target, content):
                self.load(models, "embedding")
                report = ingest(
                    [self.uploads], models.store, count_tokens=models.stack.count_tokens, groups=self.groups
                )
                failed = [one["reason"] for one in report.failed if one["source"] == source]
                if failed:
                    raise LoadError(f"{name!r} cannot be read. {failed[0]}")
            self._files = {}
        warnings = [
            str(one.get("reason") or one)
            for one in report.to_dict().get("warnings", [])
            if one.get("source") == source
        ]
        return UploadReport(
            source=source, changed=bool(report.added), warnings=warnings, seconds=report.seconds
        )

    def ingest_folders(self, folders: Sequence[Path], check_stopped: Callable[[], None]) -> IngestReport:
        """Bring the store in step with folders of this machine.

        Args:
            folders: The folders.
            check_stopped: Called as the work goes on. An error that it raises ends the work.
        """
        from qwen_agentkit.ingest import ingest  # its readers take a while to import

        check_stopped()
        with self._writing, self.in_use() as models:
            report = ingest(
                folders,
                models.store,
                count_tokens=models.stack.count_tokens,
                groups=self.groups,
                progress=lambda stage, done, total: check_stopped(),
            )
            if report.added:
                self.load(models, "embedding")  # it is in memory now, which `states` has to say
            if report.added or report.removed:
                self._files = {}
        return report

    def remove(self, user: User, id: str) -> StoredFile | None:
        """Remove a document from the store, and its uploaded file.

        Returns:
            What was removed; None if there is no such document that the user may read.

        Raises:
            AccessError: The user may not write.
        """
        _check_writes(user)
        with self._writing, self.in_use() as models:
            found = next((one for one in self.files(user) if one.id == id), None)
            if found is None:
                return None
            if found.uploaded:
                # A source of the store, not a name of the request.
                file = self.data / found.source
                if file.resolve().is_relative_to(self.uploads.resolve()):
                    file.unlink(missing_ok=True)
            models.store.delete(filter={"source": found.source, **user.filter})
            self._files = {}
            return found

    def _make_models(self, stack: Stack) -> Models:
        from qwen_agentkit.graphs.shared.models import resolve_chat_model

        answering = resolve_chat_model(self._model) if self._model else stack.answering
        self.states = {"embedding": "unloaded", "reranker": "unloaded"}
        if _is_ours(answering):
            self.states["chat"] = "unloaded"
        return Models(stack, stack.store(create=True), answering)

    def _folder_of(self, user: User, group: str | None) -> Path:
        _check_writes(user)
        if not self.groups:
            if group:
                raise InputError(
                    f"The group {group!r} was given; expected none, as this server has no groups."
                )
            return self.uploads
        if group is None and user.groups is not None and len(user.groups) == 1:
            group = user.groups[0]
        if not group:
            raise InputError("The group of the document is missing; expected ?group=NAME, one of yours.")
        if not user.may_read(group):
            mine = ", ".join(user.groups or ())
            raise AccessError(f"The group {group!r} is not one of yours; expected one of {mine}.")
        return self.uploads / check_name(group, "group")

    def _check_space(self, size: int) -> None:
        if shutil.disk_usage(self.uploads).free < size + _SPARE_BYTES:
            raise OutOfMemoryError("The disk is nearly full, so nothing was stored. Free some space.")


def _check_writes(user: User) -> None:
    if not user.writes:
        raise AccessError(
            f"The token of {user.name!r} may not add or remove documents; expected one made with --write."
        )


def _list_files(store: QwenVectorStore, user: User) -> list[StoredFile]:
    files: dict[str, StoredFile] = {}
    for document in store.scroll(user.filter):
        passage = describe_passage(document)
        known = files.setdefault(
            passage.source,
            StoredFile(
                id=hashlib.sha256(passage.source.encode()).hexdigest()[:24],
                source=passage.source,
                title=passage.title,
                languages=[],
                group=passage.group,
                chunks=0,
                uploaded=passage.source.startswith(f"{UPLOADS}/"),
            ),
        )
        known.chunks += 1
        known.title = known.title or passage.title
        if passage.language and passage.language not in known.languages:
            known.languages = sorted([*known.languages, passage.language])
    return [files[source] for source in sorted(files)]


@contextmanager
def _replaced(target: Path, content: Path) -> Iterator[None]:
    """Put a file in its place; when the work with it fails, the old one is put back."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".old-") as folder:
        old = Path(folder, "old")
        if target.exists():
            target.replace(old)
        shutil.move(content, target)
        try:
            yield
        except BaseException:
            target.unlink()
            if old.exists():
                old.replace(target)
            raise


def _is_ours(model: object) -> bool:
    from qwen_agentkit.chat_models import ChatQwen

    return isinstance(model, ChatQwen) and model.base_url is None


def _run_once(models: Models, name: str) -> None:
    """Use a model once, which loads its weights."""
    if name == "embedding":
        models.stack.embeddings.embed_query("?")
    elif name == "reranker":
        models.stack.reranker.score([("?", "?")])
    elif models.answering is not None:
        models.answering.invoke("?", max_tokens=1)
