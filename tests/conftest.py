"""Small real things: random Qwen3 checkpoints on disk, with a real tokenizer and chat template."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from qwen_agentkit.catalog import nano_folder
from tests import real_tokenizer as real_tokenizer_module

# Where fixtures of several files are defined. `loopback` imports `server`, which therefore stands first.
pytest_plugins = [
    "tests.fakes.server",
    "tests.fakes.command_line",
    "tests.fakes.loopback",
    "tests.fakes.scripted_chat",
    "tests.fakes.stores",
    "tests.serve_site",
]

# Checkpoints of graphs hold nothing but what LangGraph's strict reader takes. It looks when it is imported.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")

# Tiny models: handing work to a second thread costs more than the work.
torch.set_num_threads(1)

SaveModel = Callable[..., Path]


def bundled(name: str) -> Path:
    folder = nano_folder(name)
    assert folder is not None
    return folder


@pytest.fixture(scope="session")
def nano_chat_dir() -> Path:
    """The bundled nano-chat checkpoint."""
    return bundled("nano-chat")


@pytest.fixture(scope="session")
def save_random_model(tmp_path_factory: pytest.TempPathFactory, nano_chat_dir: Path) -> SaveModel:
    """Save a random checkpoint of a few thousand weights; returns its folder.

    Its tokenizer is the nano retrievers', where "yes" and "no" are tokens, with nano-chat's template.
    """
    tokenizer = AutoTokenizer.from_pretrained(bundled("nano-reranker"))
    tokenizer.chat_template = (nano_chat_dir / "chat_template.jinja").read_text(encoding="utf-8")

    def save(architecture: str = "qwen3", seed: int = 0, **changes: object) -> Path:
        shape: dict[str, object] = {
            "vocab_size": len(tokenizer),
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "max_position_embeddings": 2048,
            "tie_word_embeddings": True,
            **changes,
        }
        torch.manual_seed(seed)
        if architecture == "qwen3_moe":
            experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
            model: torch.nn.Module = Qwen3MoeForCausalLM(Qwen3MoeConfig(**shape, **experts))
        else:
            model = Qwen3ForCausalLM(Qwen3Config(**shape))
        with torch.no_grad():
            # The default initialization is so small that attention is near uniform: any mask would pass.
            for weight in model.parameters():
                if weight.dim() > 1:
                    weight.mul_(4)
        folder = tmp_path_factory.mktemp(architecture)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def tiny_qwen3_dir(save_random_model: SaveModel) -> Path:
    """A random three-layer Qwen3 with nano-chat's chat template."""
    return save_random_model()


@pytest.fixture(scope="session")
def nan_model_dir(save_random_model: SaveModel) -> Path:
    """A checkpoint whose weights were damaged into NaN."""
    folder = save_random_model(seed=13)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"].fill_(float("nan"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def real_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of every Qwen3 checkpoint, without weights."""
    return real_tokenizer_module.build()


# Standard tests of LangChain that skip themselves for every model like ours: any other skip is to be seen.
NOT_FOR_US = {
    **dict.fromkeys(("test_image_inputs", "test_image_tool_message"), "the checkpoints read text"),
    **dict.fromkeys(("test_pdf_inputs", "test_pdf_tool_message"), "the checkpoints read text"),
    "test_audio_inputs": "the checkpoints read text",
    "test_stream_time": "times recorded traffic of a server",
    "test_serdes": "langchain-core revives only classes of its own list",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the standard tests in `NOT_FOR_US`."""
    left_out = [
        item
        for item in items
        if item.name in NOT_FOR_US and item.path.name in ("test_chat_contract.py", "test_chat_models.py")
    ]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def two_cores() -> Iterator[None]:
    """Torch with two threads, as on a machine of two cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
