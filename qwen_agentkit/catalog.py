"""What is known of each checkpoint and of each family: rows of data. Knows names and numbers, loads nothing.

Sources: the model cards at https://huggingface.co/Qwen and the technical report, arXiv:2505.09388; for the
parsers, https://docs.vllm.ai and https://docs.sglang.io. Checkpoints from Qwen3.5 on also read images; of
them the text model alone is loaded and counted, by the sizes of its layers on the card, and Qwen3.8 by its
name and, for keys and values, by Qwen3.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Literal

from qwen_agentkit.errors import InputError

__all__ = [
    "ARCHITECTURES",
    "CHECKPOINTS",
    "FAMILIES",
    "FUSIONS",
    "PRESETS",
    "THRESHOLDS",
    "UNMEASURED",
    "Checkpoint",
    "Family",
    "Fusion",
    "Role",
    "SamplingValues",
    "Threshold",
    "family_of",
    "nano_folder",
    "preset_checkpoint",
]

Role = Literal["embedding", "reranker", "chat"]


@dataclass(frozen=True)
class SamplingValues:
    """Sampling values that the makers recommend.

    Attributes:
        temperature: Divides the logits; 0 would be greedy.
        top_p: Share of the probability mass that is kept, 0..1.
        top_k: Tokens that are kept; 0 keeps all.
        min_p: Smallest probability kept, as a share of the largest, 0..1.
        presence_penalty: Subtracted from the logit of each token that the answer already has, -2..2.
        repetition_penalty: Makes tokens of the prompt and the answer less likely, by a factor; 1 changes
            nothing.
    """

    temperature: float
    top_p: float
    top_k: int
    min_p: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0


@dataclass(frozen=True)
class Family:
    """What the checkpoints of one edition have in common.

    Attributes:
        name: Name of the edition.
        pattern: Regular expression that finds it in a lower-case model name, such as "qwen/qwen3-8b" or
            "qwen3:8b". The first family in `FAMILIES` that is found counts.
        architectures: Values of `model_type` in config.json.
        vocabulary: Rows of the embedding table.
        answering: Sampling values without thinking; the row for general text where the card has several.
        thinking: Sampling values with thinking; None if it never thinks.
        opens_thought: Whether the chat template opens the thought, so that an answer starts inside of it.
        replays_thoughts: Whether the chat template can show thoughts of earlier turns.
        quiet_sizes: Sizes that do not think unless asked to.
        reads_images: Whether the checkpoints also read images, which this package does not use.
        stretches: Whether the card says how to stretch the context by settings alone (YaRN).
        has_gguf: Whether the makers publish GGUF files of the chat models and embedders.
        tool_parsers: Parser of tool calls, by server.
        thought_parsers: Parser of thoughts, by server.
        query_prompt: What embedders of the family read before a query; None for the usual one.
    """

    name: str
    pattern: str
    architectures: tuple[str, ...]
    vocabulary: int
    answering: SamplingValues
    thinking: SamplingValues | None = None
    opens_thought: bool = False
    replays_thoughts: bool = False
    quiet_sizes: tuple[str, ...] = ()
    reads_images: bool = False
    stretches: bool = True
    has_gguf: bool = True
    tool_parsers: Mapping[str, str] = field(default_factory=lambda: {"vllm": "hermes", "sglang": "qwen25"})
    thought_parsers: Mapping[str, str] = field(default_factory=lambda: {"vllm": "qwen3", "sglang": "qwen3"})
    query_prompt: str | None = None


_QWEN2 = ("qwen2", "qwen2_moe")
_QWEN3 = ("qwen3", "qwen3_moe")
_QWEN3_5 = ("qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text", "qwen4_exp", "qwen4_exp_text")
_SMALL_VOCABULARY, _LARGE_VOCABULARY = 151_936, 248_320
_XML_CALLS = {"vllm": "qwen3_coder", "sglang": "qwen3_coder"}
_ANSWERING, _THINKING = SamplingValues(0.7, 0.8, 20), SamplingValues(0.6, 0.95, 20)

FAMILIES = (
    Family(
        "gte-Qwen2",
        r"gte-qwen-?2",
        _QWEN2,
        _SMALL_VOCABULARY,
        SamplingValues(0.7, 0.8, 20, repetition_penalty=1.05),
        query_prompt=(
            "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
        ),
    ),
    Family(
        "Qwen2.5",
        r"qwen-?2",
        _QWEN2,
        _SMALL_VOCABULARY,
        SamplingValues(0.7, 0.8, 20, repetition_penalty=1.05),
    ),
    Family(
        "Qwen3.5",
        r"qwen-?3\.5",
        _QWEN3_5,
        _LARGE_VOCABULARY,
        SamplingValues(0.7, 0.8, 20, presence_penalty=1.5),
        SamplingValues(1.0, 0.95, 20, presence_penalty=1.5),
        opens_thought=True,
        quiet_sizes=("0.8b", "2b"),
        reads_images=True,
        has_gguf=False,
        tool_parsers=_XML_CALLS,
    ),
    Family(
        "Qwen3.6",  # and Qwen3.8, whose card gives the same values
        r"qwen-?3\.\d",
        _QWEN3_5,
        _LARGE_VOCABULARY,
        SamplingValues(0.7, 0.8, 20, presence_penalty=1.5),
        SamplingValues(1.0, 0.95, 20),
        opens_thought=True,
        replays_thoughts=True,
        reads_images=True,
        has_gguf=False,
        tool_parsers=_XML_CALLS,
    ),
    Family(
        "Qwen3-Coder",
        r"qwen-?3.*coder",
        _QWEN3,
        _SMALL_VOCABULARY,
        _ANSWERING,
        stretches=False,
        has_gguf=False,
        tool_parsers=_XML_CALLS,
    ),
    Family(
        "Qwen3-Thinking",  # of the 2507 editions and of Next
        r"qwen-?3.*thinking",
        (*_QWEN3, "qwen3_next"),
        _SMALL_VOCABULARY,
        _ANSWERING,
        _THINKING,
        opens_thought=True,
        stretches=False,
        has_gguf=False,
        thought_parsers={"vllm": "deepseek_r1", "sglang": "qwen3-thinking"},
    ),
    Family(
        "Qwen3-2507",  # and Next; names with "Instruct" never think
        r"qwen-?3.*(?:instruct|2507|next)",
        (*_QWEN3, "qwen3_next"),
        _SMALL_VOCABULARY,
        _ANSWERING,
        _THINKING,
        stretches=False,
        has_gguf=False,
    ),
    Family("Qwen3", r"qwen-?3", _QWEN3, _SMALL_VOCABULARY, _ANSWERING, _THINKING),
)

ARCHITECTURES = frozenset(architecture for family in FAMILIES for architecture in family.architectures)
"""Every `model_type` of Qwen's decoders in config.json."""


def family_of(name: str) -> Family | None:
    """Return the family of a model name such as "Qwen/Qwen3-8B" or "qwen3:8b"; None if it names none."""
    return next((family for family in FAMILIES if re.search(family.pattern, name.lower())), None)


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint.

    Attributes:
        name: Hub id, or the name of a bundled nano checkpoint.
        role: What it is for.
        parameters: In millions.
        context: Native context, in tokens.
        cache_kib: Keys and values of one token, in KiB, in bf16: two numbers for each layer of full
            attention, head of keys and dimension of a head.
        width: Numbers of a hidden state; the embedding table has as many for each token of the vocabulary.
        dimensions: Length of the vectors, for embedders; any smaller size works too (MRL).
        thinks: Whether it can think, for chat.
        efforts: Values of `reasoning_effort`, from the least to the most; the last is the default.
        most_gpus: GPUs that can share its attention heads evenly, at most.
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
    most_gpus: int = 8

    @property
    def bf16_gigabytes(self) -> float:
        """Memory for the weights in bf16, in GB: two bytes a parameter."""
        return self.parameters * 2 / 1000

    @property
    def family(self) -> Family:
        """The family of the checkpoint."""
        family = family_of(self.name)
        if family is None:
            raise InputError(
                f"{self.name!r} belongs to no family of the catalog; expected a Qwen checkpoint."
            )
        return family

    @property
    def mixes_experts(self) -> bool:
        """Whether a token uses only some of the weights; the name says how many, as in "Qwen3-30B-A3B"."""
        return re.search(r"-A\d+B", self.name) is not None


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
    Checkpoint("Qwen/Qwen2.5-0.5B-Instruct", "chat", 494, 32768, 12, 896, most_gpus=2),
    Checkpoint("Qwen/Qwen2.5-1.5B-Instruct", "chat", 1544, 32768, 28, 1536, most_gpus=4),
    Checkpoint("Qwen/Qwen2.5-3B-Instruct", "chat", 3086, 32768, 36, 2048),
    Checkpoint("Qwen/Qwen2.5-7B-Instruct", "chat", 7616, 32768, 56, 3584, most_gpus=4),
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


@dataclass(frozen=True)
class Fusion:
    """How much an embedder's search counts beside the search by words, from data.

    A passage scores the share of the question's words that it holds, weighed by rarity, plus a weight times
    its cosine, from which `floor` is taken. The weight depends on whether the passage is in the language of
    the question, since words rarely match across languages.

    Attributes:
        same: Weight where passage and question are in one language.
        other: Weight where they are not.
        threshold: Score below which a passage does not answer, 0 to 1, where no reranker judges.
        floor: Cosine of texts that have nothing to do with each other.
        data: What it was fitted on, and when.
    """

    same: float
    other: float
    threshold: float
    floor: float = 0.0
    data: str = ""


@dataclass(frozen=True)
class Threshold:
    """The relevance below which a passage does not answer a question, from data.

    Attributes:
        score: The threshold of the reranker's scores, 0 to 1.
        share: How much of a passage's relevance a preset takes from the reranker, 0 to 1. The rest is the
            search's own score. 0 leaves out a reranker that lowered the order of the search.
        data: What it was fitted on, and when.
    """

    score: float
    share: float = 1.0
    data: str = ""


# `qwen-agentkit calibrate --questions FILE` prints a row of each table; see docs/evaluation.md. Checkpoints
# without a row have not been measured: ranks are fused half and half, and the threshold is UNMEASURED.
FUSIONS: Mapping[str, Fusion] = {
    "nano-embedding": Fusion(0.15, 0.4, 0.2, data="XQuAD, half of it, 12 languages, December 2026"),
}
"""By the name of the embedder."""
UNMEASURED = Threshold(0.3)
THRESHOLDS: Mapping[str, Threshold] = {
    "nano-reranker": Threshold(0.35, 0.2, data="XQuAD, half of it, 12 languages, December 2026"),
}
"""By the name of the reranker."""

_NANO = ("nano-embedding", "nano-reranker", "nano-chat")


def preset_checkpoint(preset: str, role: Role) -> str:
    """Return the name of the checkpoint that `preset` uses as `role`.

    Raises:
        InputError: There is no such preset.
    """
    if preset not in PRESETS:
        raise InputError(
            f"Unknown preset {preset!r}; expected one of {', '.join(PRESETS)}. Try --preset nano."
        )
    return PRESETS[preset][role]


def nano_folder(name: str) -> Path | None:
    """Return the folder of the bundled checkpoint `name`; None if it is not one of the nano family."""
    return Path(str(files("qwen_agentkit") / "nano" / name)) if name in _NANO else None
