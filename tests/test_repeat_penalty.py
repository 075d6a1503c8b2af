"""`repetition_penalty` on servers: by the name that each has, over prompt and answer, or an error."""

from __future__ import annotations

from typing import Any

import pytest

from qwen_agentkit import ChatQwen
from qwen_agentkit.errors import ServerUnsupportedError
from tests.fakes.server import URL, Serve, delta, sse

CHAT = "/v1/chat/completions"
NAMES = ("repetition_penalty", "repeat_penalty", "repeat_last_n")


def sent(serve: Serve, owner: str, model: str = "Qwen/Qwen3-8B", **settings: Any) -> dict[str, Any]:
    """What of the request speaks of repeating."""
    server = serve({CHAT: sse([delta(content="Hello"), delta("stop")])}, owner=owner, model=model)
    ChatQwen(model=model, base_url=URL, **settings).invoke("Hi")
    return {name: value for name, value in server.bodies()[0].items() if name in NAMES}


@pytest.mark.parametrize("owner", ["vllm", "sglang"])
def test_most_servers_have_the_name_of_transformers(serve: Serve, owner: str) -> None:
    assert sent(serve, owner, repetition_penalty=1.3) == {"repetition_penalty": 1.3}


def test_llama_cpp_has_another_and_counts_a_part_unless_told(serve: Serve) -> None:
    found = sent(serve, "llamacpp", repetition_penalty=1.3)
    assert found.pop("repeat_last_n") > 262144
    assert found == {"repeat_penalty": 1.3}


def test_what_the_makers_recommend_goes_by_that_name_too(serve: Serve) -> None:
    family = "Qwen/Qwen2.5-7B-Instruct"
    assert sent(serve, "vllm", family) == {"repetition_penalty": 1.05}
    assert sent(serve, "llamacpp", family)["repeat_penalty"] == 1.05


@pytest.mark.parametrize("owner", ["organization_owner", "library"])
def test_a_server_that_cannot_is_an_error(serve: Serve, owner: str) -> None:
    with pytest.raises(ServerUnsupportedError, match="repetition_penalty"):
        sent(serve, owner, repetition_penalty=1.3)
    assert sent(serve, owner) == {}
