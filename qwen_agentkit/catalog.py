"""What is known of each checkpoint: rows of data, no code. Knows names and numbers, loads nothing.

Figures: the model cards at https://huggingface.co/Qwen and the technical report, arXiv:2505.09388. Of the
checkpoints that also read images, from Qwen3.5 on, the text model alone is counted, since it alone is loaded:
by the sizes of its layers that the card gives, of Qwen3.8 by its name and, for keys and values, by Qwen3.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from qwen_agentkit.errors import InputError

__all__ = ["CHECKPOINTS", "PRESETS", "Checkpoint", "Role", "nano_folder", "preset_checkpoint"]

Role = Literal["embedding", "reranker", "chat"]


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint.

    Attributes:
        name: hub id, or the name of a bundled nano checkpoint.
        role: what it is for.
        parameters: in millions.
        context: native context, in tokens.
        cache_kib: keys and values of one token, in KiB, in bf16: two numbers for each layer of full
            attention, head of keys and dimension of a head.
        width: numbers of a hidden state; the embedding table has as many for each token of the vocabulary.
        dimensions: length of the vectors, for embedders; any smaller size works too (MRL).
        thinks: whether it can think, for chat.
        efforts: values of `reasoning_effort`, from the least to the most; the last is the default.
    """

    name: str
    role: Role
    parameters: float
    context: int
    cache_kib: int
    width: int
    dimensions: int | None = None
    thinks: bool = False
    efforts: tuple[str, ...] = ()

    @property
    def bf16_gigabytes(self) -> float:
        """Memory for the weights in bf16, in GB: two bytes a parameter."""
        return self.parameters * 2 / 1000


CHECKPOINTS = (
    Checkpoint("Qwen/Qwen3-Embedding-0.6B", "embedding", 596, 32768, 112, 1024, 1024),
    Checkpoint("Qwen/Qwen3-Embedding-4B", "embedding", 4022, 32768, 144, 2560, 2560),
    Checkpoint("Qwen/Qwen3-Embedding-8B", "embedding", 7568, 32768, 144, 4096, 4096),
    Checkpoint("Qwen/Qwen3-Reranker-0.6B", "reranker", 596, 32768, 112, 1024),
    Checkpoint("Qwen/Qwen3-Reranker-4B", "reranker", 4022, 32768, 144, 2560),
    Checkpoint("Qwen/Qwen3-Reranker-8B", "reranker", 8189, 32768, 144, 4096),
    Checkpoint("Qwen/Qwen3-0.6B", "chat", 596, 32768, 112, 1024, thinks=True),
    Checkpoint("Qwen/Qwen3-1.7B", "chat", 1721, 32768, 112, 2048, thinks=True),
    Checkpoint("Qwen/Qwen3-4B", "chat", 4022, 32768, 144, 2560, thinks=True),
    Checkpoint("Qwen/Qwen3-8B", "chat", 8191, 32768, 144, 4096, thinks=True),
    Checkpoint("Qwen/Qwen3-14B", "chat", 14768, 32768, 160, 5120, thinks=True),
    Checkpoint("Qwen/Qwen3-32B", "chat", 32762, 32768, 256, 5120, thinks=True),
    Checkpoint("Qwen/Qwen3-30B-A3B", "chat", 30532, 32768, 96, 2048, thinks=True),
    Checkpoint("Qwen/Qwen3-235B-A22B", "chat", 235094, 32768, 188, 4096, thinks=True),
    Checkpoint("Qwen/Qwen3-4B-Instruct-2507", "chat", 4022, 262144, 144, 2560),
    Checkpoint("Qwen/Qwen3-4B-Thinking-2507", "chat", 4022, 262144, 144, 2560, thinks=True),
    Checkpoint("Qwen/Qwen3-30B-A3B-Instruct-2507", "chat", 30532, 262144, 96, 2048),
    Checkpoint("Qwen/Qwen3-30B-A3B-Thinking-2507", "chat", 30532, 262144, 96, 2048, thinks=True),
    Checkpoint("Qwen/Qwen3-235B-A22B-Instruct-2507", "chat", 235094, 262144, 188, 4096),
    Checkpoint("Qwen/Qwen3-235B-A22B-Thinking-2507", "chat", 235094, 262144, 188, 4096, thinks=True),
    Checkpoint("Qwen/Qwen3-Next-80B-A3B-Instruct", "chat", 79674, 262144, 24, 2048),
    Checkpoint("Qwen/Qwen3-Next-80B-A3B-Thinking", "chat", 79674, 262144, 24, 2048, thinks=True),
    Checkpoint("Qwen/Qwen3-Coder-30B-A3B-Instruct", "chat", 30532, 262144, 96, 2048),
    Checkpoint("Qwen/Qwen3-Coder-480B-A35B-Instruct", "chat", 480155, 262144, 248, 6144),
    Checkpoint("Qwen/Qwen2.5-0.5B-Instruct", "chat", 494, 32768, 12, 896),
    Checkpoint("Qwen/Qwen2.5-1.5B-Instruct", "chat", 1544, 32768, 28, 1536),
    Checkpoint("Qwen/Qwen2.5-3B-Instruct", "chat", 3086, 32768, 36, 2048),
    Checkpoint("Qwen/Qwen2.5-7B-Instruct", "chat", 7616, 32768, 56, 3584),
    Checkpoint("Qwen/Qwen2.5-14B-Instruct", "chat", 14770, 32768, 192, 5120),
    Checkpoint("Qwen/Qwen2.5-32B-Instruct", "chat", 32764, 32768, 256, 5120),
    Checkpoint("Qwen/Qwen2.5-72B-Instruct", "chat", 72706, 32768, 320, 8192),
    Checkpoint("Qwen/Qwen3.5-0.8B", "chat", 752, 262144, 12, 1024, thinks=True),
    Checkpoint("Qwen/Qwen3.5-2B", "chat", 1882, 262144, 12, 2048, thinks=True),
    Checkpoint("Qwen/Qwen3.5-4B", "chat", 4206, 262144, 32, 2560, thinks=True),
    Checkpoint("Qwen/Qwen3.5-9B", "chat", 8954, 262144, 32, 4096, thinks=True),
    Checkpoint("Qwen/Qwen3.5-27B", "chat", 26896, 262144, 64, 5120, thinks=True),
    Checkpoint("Qwen/Qwen3.5-35B-A3B", "chat", 34661, 262144, 20, 2048, thinks=True),
    Checkpoint("Qwen/Qwen3.5-122B-A10B", "chat", 122112, 262144, 24, 3072, thinks=True),
    Checkpoint("Qwen/Qwen3.5-397B-A17B", "chat", 396346, 262144, 30, 4096, thinks=True),
    Checkpoint("Qwen/Qwen3.6-27B", "chat", 26896, 262144, 64, 5120, thinks=True),
    Checkpoint("Qwen/Qwen3.6-35B-A3B", "chat", 34661, 262144, 20, 2048, thinks=True),
    Checkpoint(
        "Qwen/Qwen3.8-27B", "chat", 27000, 262144, 64, 5120, thinks=True, efforts=("low", "medium", "xhigh")
    ),
)

PRESETS: dict[str, dict[Role, str]] = {
    "nano": {"embedding": "nano-embedding", "reranker": "nano-reranker", "chat": "nano-chat"},
    "0.6b": {
        "embedding": "Qwen/Qwen3-Embedding-0.6B",
        "reranker": "Qwen/Qwen3-Reranker-0.6B",
        "chat": "Qwen/Qwen3-0.6B",
    },
    "4b": {
        "embedding": "Qwen/Qwen3-Embedding-4B",
        "reranker": "Qwen/Qwen3-Reranker-4B",
        "chat": "Qwen/Qwen3-4B",
    },
    "8b": {
        "embedding": "Qwen/Qwen3-Embedding-8B",
        "reranker": "Qwen/Qwen3-Reranker-8B",
        "chat": "Qwen/Qwen3-8B",
    },
}

_NANO = ("nano-embedding", "nano-reranker", "nano-chat")


def preset_checkpoint(preset: str, role: Role) -> str:
    """Name of the checkpoint that `preset` uses as `role`.

    Raises:
        InputError: there is no such preset.
    """
    if preset not in PRESETS:
        raise InputError(
            f"Unknown preset {preset!r}; expected one of {', '.join(PRESETS)}. Try --preset nano."
        )
    return PRESETS[preset][role]


def nano_folder(name: str) -> Path | None:
    """Folder of the bundled checkpoint `name`, or None when `name` is not one of the nano family."""
    return Path(str(files("qwen_agentkit") / "nano" / name)) if name in _NANO else None
