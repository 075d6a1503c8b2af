"""A GGUF file in llama.cpp, in a server that grows with the texts. Knows the file and sizes, no chats."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch

from qwen_agentkit.engine.checkpoint.finding import find, revision_of
from qwen_agentkit.engine.checkpoint.gguf_files import (
    UnreadQuantizationError,
    gguf_metadata,
    gguf_shapes,
    gguf_tokenizer,
    unreadable,
)
from qwen_agentkit.engine.checkpoint.loading import (
    count_weights,
    give_back_memory,
    make_room_for,
    memory_budget,
    memory_in_use,
)
from qwen_agentkit.engine.checkpoint.vocabulary import Vocabulary
from qwen_agentkit.engine.device_memory import free_memory
from qwen_agentkit.engine.llama.binding import Use, check_binding, has_gpu, refuse_error, start_server
from qwen_agentkit.errors import InputError, ModelUnsupportedError, OutOfMemoryError

__all__ = ["GgufFile", "LlamaModel", "load_llama"]

_ARCHITECTURES = ("qwen2", "qwen3", "qwen2moe", "qwen3moe")

# Tokens that a server has room for at first; doubled as often as a text needs it.
_FIRST = 512

# llama.cpp keeps the vocabulary of the last grammar in one place for all threads, without a lock. So no two
# grammars are begun at once.
_beginning = threading.Lock()


class GgufFile:
    """What a GGUF file says of its model. Reads no weights.

    Args:
        name: Path of the file.

    Attributes:
        path: The file.
        name: Its name without folders.
        revision: A digest of its content; vectors by llama.cpp are told from those by torch.
        model_type: The architecture.
        context: Longest sequence that it was trained on, in tokens.
        width: Length of its hidden states.
        ranks: Whether it was converted for ranking, with a head of "yes" and "no" alone.

    Raises:
        ModelNotFoundError: There is no such file.
        ModelUnsupportedError: It is damaged or cut short, or holds no model that is run here.
        MissingExtraError: The extra `gguf` is not installed.
    """

    def __init__(self, name: str) -> None:
        self.path: Path = find(name)
        self.name = self.path.name
        metadata, weights = gguf_metadata(self.path)
        self.model_type = str(metadata["general.architecture"])
        if self.model_type not in _ARCHITECTURES:
            raise ModelUnsupportedError(
                f"{self.name!r} holds the architecture {self.model_type!r}; of GGUF files this package runs "
                f"those of {', '.join(_ARCHITECTURES)}. Take such a file, or the safetensors checkpoint."
            )
        with suppress(UnreadQuantizationError):  # llama.cpp knows more types, and finds a cut file itself
            gguf_shapes(self.path)
        self.ranks = any(weight.startswith("cls.") for weight in weights)
        self.revision = f"{revision_of(self.path)}+llama.cpp"
        self._metadata = metadata
        self.context, self.width = self._number("context_length"), self._number("embedding_length")

    def bytes_of(self, tokens: int, *, rounded: bool) -> int:
        """Return the bytes of the keys and values of so many tokens, in fp16 or fp32."""
        heads = self._number("attention.head_count")
        length = self.width // heads
        numbers = sum(
            int(self._metadata.get(f"{self.model_type}.attention.{kind}_length", length))
            for kind in ("key", "value")
        )
        groups = self._number("attention.head_count_kv")
        return self._number("block_count") * groups * numbers * tokens * (2 if rounded else 4)

    def _number(self, key: str) -> int:
        try:
            return int(self._metadata[f"{self.model_type}.{key}"])
        except KeyError as error:
            raise unreadable(self.path, f"it lacks {error}") from error


class LlamaModel(Vocabulary):
    """A GGUF file that llama.cpp runs, shared by everything in the process that asks for the same one.

    Args:
        file: The file.
        use: What it is started for.
        context_window: Most tokens of a sequence; None for as many as it was trained on.
        gpu: Whether the GPU computes.

    Raises:
        InputError: The window is longer than what the file was trained on.
        ModelUnsupportedError: The tokenizer is not that of a Qwen model.
    """

    def __init__(self, file: GgufFile, use: Use, context_window: int | None, gpu: bool) -> None:
        if context_window is not None and context_window > file.context:
            raise InputError(
                f"context_window={context_window}, but {file.name!r} was trained on {file.context} tokens, "
                "and llama.cpp runs it as it is. Leave context_window out, or pass engine='torch', which "
                "stretches positions."
            )
        self.file, self.name = file, file.name
        self.tokenizer = gguf_tokenizer(file.path)
        self.generation: Mapping[str, Any] = {}
        self._context = context_window or file.context
        self._use, self._gpu = use, gpu
        self._server: Any = None
        # Tokens that the server has room for, and those of calls that run; the number of these calls.
        self._room = self._taken = self._running = 0
        self._growing = False
        self._changed = threading.Condition()

    @property
    def context(self) -> int:
        """Longest sequence, in tokens."""
        return self._context

    @property
    def model_type(self) -> str:
        """Its architecture."""
        return self.file.model_type

    def complete(self, tokens: int, body: Mapping[str, Any], take: Callable[[dict[str, Any]], bool]) -> None:
        """Complete a prompt, in chunks.

        Args:
            tokens: Tokens of the prompt and the answer.
            body: As llama.cpp's route /v1/completions takes it, with "stream".
            take: Takes a chunk, and returns whether to stop.
        """
        with self._serving(tokens) as server:
            if not body.get("grammar"):
                server.handle_completions(dict(body), take)
                return
            with ExitStack() as until_first_chunk:
                until_first_chunk.enter_context(_beginning)

                def take_first(chunk: dict[str, Any]) -> bool:
                    until_first_chunk.close()
                    return take(chunk)

                server.handle_completions(dict(body), take_first)

    def ask(self, route: str, tokens: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the whole answer of a route: "completions", "embeddings" or "rerank".

        Args:
            route: The route.
            tokens: Tokens of the longest text, and what is written after it.
            body: As llama.cpp takes it.

        Raises:
            ModelError: llama.cpp reports an error.
        """
        with self._serving(tokens) as server:
            answer: dict[str, Any] = getattr(server, f"handle_{route}")(dict(body))
        refuse_error(answer, self.name)
        return answer

    @contextmanager
    def _serving(self, tokens: int) -> Iterator[Any]:
        """Keep a server with room for so many tokens during a call.

        Answers that are written at once share the room. Where it is too small for one more, that one waits
        for the others, and the room grows, so that the next ones need not wait.
        """
        tokens = min(tokens, self._context)
        shared = tokens if self._use == "chat" else 0
        with self._changed:
            while True:
                self._changed.wait_for(lambda: not self._growing)
                wanted = self._room_for(max(tokens, self._taken + shared))
                if self._room < tokens or (self._room < wanted and self._fits(wanted)):
                    self._grow(wanted if self._fits(wanted) else self._room_for(tokens))
                elif not self._running or self._taken + shared <= self._room:
                    break
                else:
                    self._changed.wait()
            self._running += 1
            self._taken += shared
            server = self._server
        try:
            yield server
        finally:
            with self._changed:
                self._running -= 1
                self._taken -= shared
                self._changed.notify_all()

    def _grow(self, room: int) -> None:
        """Start anew with so much room, once nothing runs."""
        self._growing = True
        try:
            self._changed.wait_for(lambda: not self._running)
            self._start(room)
        finally:
            self._growing = False
            self._changed.notify_all()

    def _room_for(self, tokens: int) -> int:
        """Return the room that a server gets for so many tokens, at least that of the one there is."""
        room = self._room or _FIRST
        while room < tokens:
            room *= 2
        return min(room, self._context)

    def _fits(self, room: int) -> bool:
        """Whether memory is left for so much room; that of a GPU is not known, so there it never is."""
        wanted, held = (
            self.file.bytes_of(count, rounded=self._use == "chat") for count in (room, self._room)
        )
        left = memory_budget("cpu") - memory_in_use("cpu")
        return not self._gpu and wanted - held <= min(left, free_memory(torch.device("cpu")))

    def stop(self) -> None:
        """Let the server go, which ends after the calls that run; the next call starts another."""
        self._server, self._room = None, 0

    def _start(self, room: int) -> None:
        self.stop()  # frees its memory first
        if not self._gpu:
            self._check_memory(room)
        self._server = start_server(
            self.file.path, self._use, room=room, threads=torch.get_num_threads(), gpu=self._gpu
        )
        self._room = room
        give_back_memory()

    def affordable_tokens(self) -> int:
        """Return how many tokens half of the free memory holds the keys and values of."""
        if self._gpu:
            return self._context
        return int(free_memory(torch.device("cpu")) // 2 // self.file.bytes_of(1, rounded=True))

    def _check_memory(self, room: int) -> None:
        """Refuse what would only run by reading the file again and again, or not at all."""
        size = self.file.path.stat().st_size
        cache = self.file.bytes_of(room, rounded=self._use == "chat")
        free = free_memory(torch.device("cpu"))
        if size + cache > free:
            raise OutOfMemoryError(
                f"{self.name!r} takes {size / 1e9:.1f} GB, and the keys and values of {room} tokens "
                f"{cache / 1e9:.1f} GB; {free / 1e9:.1f} GB are free. Take a smaller quantization or model, "
                "or ask for less: lower max_tokens, or send fewer messages or documents."
            )
        count_weights(self, "cpu", 0)  # of the smaller room
        make_room_for(self.name, "cpu", size + cache)
        count_weights(self, "cpu", size + cache)


_loaded: WeakValueDictionary[tuple[object, ...], LlamaModel] = WeakValueDictionary()
_loading = threading.Lock()


def _stop_all() -> None:
    """Stop the servers while Python still runs: a thread may keep a model to the end of the process."""
    for model in list(_loaded.values()):
        model.stop()


atexit.register(_stop_all)


def load_llama(
    name: str, use: Use, *, context_window: int | None = None, device: str | None = None
) -> LlamaModel:
    """Return the model of a GGUF file. Its weights are mapped when it is first used.

    Args:
        name: Path of the file.
        use: What it is for.
        context_window: Most tokens of a sequence; None for as many as it was trained on.
        device: "cpu"; None for a GPU, too, where the binding was built for it.

    Raises:
        MissingExtraError: The binding is missing or too old.
        ModelNotFoundError: There is no such file.
        ModelUnsupportedError: It is damaged, or holds no model that is run here.
        InputError: The window is longer than what the file was trained on.
    """
    check_binding()
    gpu = device != "cpu" and has_gpu()
    key = (find(name).resolve(), use, context_window, gpu)
    with _loading:
        held = _loaded.get(key)
        if held is None:
            held = _loaded[key] = LlamaModel(GgufFile(name), use, context_window, gpu)
        return held
