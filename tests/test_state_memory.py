"""What a hybrid remembers beside keys and values counts before an answer begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.decode import generate as generate_module
from qwen_agentkit.engine.decode.generate import generate
from qwen_agentkit.engine.decode.sampler import Sampling
from qwen_agentkit.engine.decode.scheduler import get_scheduler
from qwen_agentkit.engine.forward.kv import KVCache, token_bytes
from qwen_agentkit.engine.forward.packed import Segment, forward
from qwen_agentkit.engine.forward.states import MOST_HELD
from qwen_agentkit.errors import OutOfMemoryError
from tests.fakes.hybrids import HYBRIDS, save_hybrid

PROMPT = list(range(300, 420))


@pytest.fixture(scope="module", params=HYBRIDS)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = save_hybrid(request.param, tmp_path_factory.mktemp(request.param))
    return load(str(folder), device="cpu", dtype="float32", chat=True)


def test_states_are_counted_before_the_prompt_is_read(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, size = loaded.state_bytes, token_bytes(loaded.model.config.get_text_config(), loaded.dtype)
    assert states > 0
    needed = MOST_HELD * states + (len(PROMPT) + 8) * size

    def free(beside: int) -> None:
        monkeypatch.setattr(
            generate_module, "free_memory", lambda device: needed + beside - get_scheduler(loaded).bytes
        )

    free(-1)
    with pytest.raises(OutOfMemoryError, match=rf"of states; .* At most {len(PROMPT) + 7} tokens fit"):
        generate(loaded, PROMPT, Sampling(), max_tokens=8)
    free(-needed)
    with pytest.raises(OutOfMemoryError, match="At most 0 tokens fit"):
        generate(loaded, PROMPT, Sampling(), max_tokens=8)
    free(0)
    assert list(generate(loaded, PROMPT, Sampling(), max_tokens=8))


def test_no_sequence_holds_more(loaded: Loaded) -> None:
    cache = KVCache(loaded.model.config, loaded.dtype, loaded.device)
    cache.keep_states_at(range(10, 110, 10))

    def read(some: list[int], count: int) -> None:
        loaded.compute(lambda: forward(loaded.model, [Segment(some, cache, read=count)]))

    for some, count in ((PROMPT[:60], 1), (PROMPT[60:], 4), (PROMPT[:9], 9), (PROMPT[:1], 1)):
        read(some, count)
        assert cache.state_bytes <= MOST_HELD * loaded.state_bytes


def test_other_models_have_none(nano_chat_dir: Path) -> None:
    assert load(str(nano_chat_dir), device="cpu", chat=True).state_bytes == 0
