"""What a model writes reaches the reader as it is written, and is corrected by its sources."""

from __future__ import annotations

from typing import Any

from qwen_agentkit.stack import Stack
from tests.fakes.scripted_chat import Scripted
from tests.serve_site import HOURS, QUESTION, events_of, served

THOUGHT = "They open at nine or at ten."
WRONG = "The library opens at 10:30 [1]."


def written(thought: str, answer: str) -> str:
    return f"<think>\n{thought}\n</think>\n\n{answer}"


async def ask(stack: Stack, model: Any, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    async with served(stack, model=model) as site, site.client() as client:
        if "{id}" in path:
            id = (await client.post("/api/conversations", json={"title": "x"})).json()["id"]
            path = path.format(id=id)
        return events_of((await client.post(path, json=body)).text)


async def test_the_page_gets_thoughts_drafts_and_verdicts(own_stack: Stack, scripted: Scripted) -> None:
    model = scripted(written(THOUGHT, WRONG), thinking=True)
    asked = {"question": QUESTION, "graph": "rag", "settings": {"thinking": "on"}}
    events = await ask(own_stack, model, "/api/conversations/{id}/ask", asked)
    assert "".join(one["text"] for one in events if one["type"] == "thought").strip() == THOUGHT
    assert "".join(one["text"] for one in events if one["type"] == "text").strip() == WRONG
    answer = events[-1]
    assert answer["reasoning"].strip() == THOUGHT
    assert answer["answer"] == WRONG  # its mark is the sentence's verdict
    [sentence] = answer["sentences"]
    assert (sentence["verdict"], sentence["missing"]) == ("unsupported", ["10:30"])
    assert sentence["sources"] == [{"marker": 1, "quote": HOURS}]
    assert answer["tokens"]["output"] > 10


async def test_openai_clients_get_the_thought_the_draft_and_what_is_wrong(
    own_stack: Stack, scripted: Scripted
) -> None:
    model = scripted(written(THOUGHT, WRONG), thinking=True)
    body = {
        "model": "rag",
        "stream": True,
        "messages": [{"role": "user", "content": QUESTION}],
        "chat_template_kwargs": {"enable_thinking": True},
    }
    events = await ask(own_stack, model, "/v1/chat/completions", body)
    deltas = [one["choices"][0]["delta"] for one in events]
    assert "".join(one.get("reasoning_content", "") for one in deltas).strip() == THOUGHT
    text = "".join(one.get("content", "") for one in deltas)
    assert text.startswith(WRONG)
    assert "Not supported by the sources:\n- The library opens at 10:30 [1]." in text
    assert text.endswith("\n\n[1] documents/crew/hours.md")


async def test_a_supported_draft_is_followed_by_its_sources_alone(
    own_stack: Stack, scripted: Scripted
) -> None:
    model = scripted(written("", f"{HOURS[:-1]} [1]."), thinking=False)
    body = {"model": "rag", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    events = await ask(own_stack, model, "/v1/chat/completions", {**body, "reasoning_effort": "low"})
    text = "".join(one["choices"][0]["delta"].get("content", "") for one in events)
    assert text.strip() == f"{HOURS[:-1]} [1].\n\n[1] documents/crew/hours.md"
