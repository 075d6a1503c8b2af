"""Conversations of the page: kept, answered as a stream, stopped, and plans decided about."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr

from qwen_agentkit.serve.conversations import Conversations
from qwen_agentkit.stack import Stack
from tests.serve_site import HOURS, QUESTION, Connection, Site, events_of, served


class Typist(BaseChatModel):
    """Writes one sentence for each permit, and tells when nobody reads any more."""

    _permits: threading.Semaphore = PrivateAttr(default_factory=lambda: threading.Semaphore(0))
    _freed: threading.Event = PrivateAttr(default_factory=threading.Event)
    _written: int = PrivateAttr(default=0)

    @property
    def _llm_type(self) -> str:
        return "typist"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        try:
            while self._permits.acquire(timeout=30):
                self._written += 1
                yield ChatGenerationChunk(message=AIMessageChunk("A word. "))
        finally:
            self._freed.set()


async def begin(site: Site) -> str:
    async with site.client() as client:
        return str((await client.post("/api/conversations", json={"title": QUESTION})).json()["id"])


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/conversations/{id}/ask"])
async def test_a_closed_connection_frees_the_model_within_one_step(own_stack: Stack, path: str) -> None:
    model = Typist()
    async with served(own_stack, model=model) as site:
        id = await begin(site)
        if "{id}" in path:
            body: dict[str, Any] = {"question": QUESTION, "graph": "rag"}
        else:
            body = {"model": "rag", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
        connection = Connection(site.app, path.format(id=id), body)
        model._permits.release(2)  # a sentence is shown when the next one begins
        await connection.read_until(b"word.")
        connection.go()
        await asyncio.wait_for(connection.task, 30)
        assert site.app.state.service.runner.running == 0
        model._permits.release(10)  # more than the step that was running when the reader went
        assert await asyncio.to_thread(model._freed.wait, 30)
        assert model._written <= 3
        if "{id}" in path:
            async with site.client() as client:
                [turn] = (await client.get(f"/api/conversations/{id}")).json()["turns"]
            assert turn["draft"].startswith("A word.")
            assert {**turn, "draft": ""} == {
                "question": QUESTION,
                "graph": "rag",
                "draft": "",
                "stopped": True,
            }


async def test_a_whole_answer_is_given_up_when_its_client_goes(own_stack: Stack) -> None:
    model = Typist()
    async with served(own_stack, model=model) as site:
        body = {"model": "rag", "messages": [{"role": "user", "content": QUESTION}]}
        connection = Connection(site.app, "/v1/chat/completions", body)
        model._permits.release()
        while not model._written:
            await asyncio.sleep(0.01)
        connection.go()
        await asyncio.wait_for(connection.task, 30)
        model._permits.release(10)
        assert await asyncio.to_thread(model._freed.wait, 30)
        assert model._written <= 2


async def test_a_conversation_is_kept_renamed_and_deleted(own_stack: Stack) -> None:
    async with served(own_stack) as site:
        id = await begin(site)
        async with site.client() as client:
            asked = {"question": QUESTION, "graph": "rag", "settings": {"effort": "low"}}
            events = events_of((await client.post(f"/api/conversations/{id}/ask", json=asked)).text)
            assert [one["stage"] for one in events if one["type"] == "stage"][-1] == "cite"
            assert events[-1]["type"] == "answer"
            assert events[-1]["sentences"][-1]["sources"] == [{"marker": 1, "quote": HOURS}]
    async with served(own_stack) as site, site.client() as client:  # the server was started again
        [kept] = (await client.get("/api/conversations")).json()
        assert kept == {"id": id, "title": QUESTION}
        [turn] = (await client.get(f"/api/conversations/{id}")).json()["turns"]
        assert turn["answer"] == events[-1]
        renamed = await client.patch(f"/api/conversations/{id}", json={"title": " ساعات\nالعمل "})
        assert renamed.json()["title"] == "ساعات العمل"
        assert (await client.delete(f"/api/conversations/{id}")).status_code == 204
        assert (await client.get(f"/api/conversations/{id}")).status_code == 404
        assert (await client.get("/api/conversations")).json() == []


async def test_an_abstention_shows_the_nearest_passages(own_stack: Stack) -> None:
    async with served(own_stack) as site:
        id = await begin(site)
        async with site.client() as client:
            asked = {"question": "Who won the football cup last year?", "graph": "rag"}
            answer = events_of((await client.post(f"/api/conversations/{id}/ask", json=asked)).text)[-1]
    assert answer["abstained"]
    assert answer["passages"] == []
    assert len(answer["nearest"]) == 3
    assert [one["before"] for one in answer["trace"]] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("decision", "searched"),
    [
        ({"type": "approve"}, [QUESTION]),
        ({"type": "edit", "plan": ["When does the boat leave?"]}, ["When does the boat leave?"]),
        ({"type": "reject"}, []),
    ],
    ids=str,
)
async def test_a_plan_waits_for_a_decision(own_stack: Stack, decision: Any, searched: list[str]) -> None:
    async with served(own_stack) as site:
        id = await begin(site)
        async with site.client() as client:
            asked = {"question": QUESTION, "graph": "research", "settings": {"approve_plan": True}}
            events = events_of((await client.post(f"/api/conversations/{id}/ask", json=asked)).text)
            plan = events[-1]
            assert (plan["type"], plan["plan"]) == ("plan", [QUESTION])
            assert (await client.get(f"/api/conversations/{id}")).json()["turns"] == []
            body = {"id": plan["id"], "decision": decision}
            events = events_of((await client.post(f"/api/conversations/{id}/plan", json=body)).text)
            found = [one["question"] for one in events if one.get("stage") == "research"]
            assert found[:1] == searched  # where that finds nothing, the question itself follows
            assert events[-1]["abstained"] == (decision["type"] == "reject")
            again = await client.post(f"/api/conversations/{id}/plan", json=body)
            assert (again.status_code, again.json()["error"]["code"]) == (409, "plan_lost")
            [turn] = (await client.get(f"/api/conversations/{id}")).json()["turns"]
            assert turn["question"] == QUESTION
        assert [one async for one in site.app.state.service.runner._saver.alist(None)] == []


async def test_a_plan_of_another_token_is_not_there(own_stack: Stack) -> None:
    users = {"anna": ["crew"], "ben": ["staff"]}
    async with served(own_stack, users) as site, site.client("ben") as ben, site.client("anna") as anna:
        threads = [
            (await one.post("/api/conversations", json={"title": "x"})).json()["id"] for one in (ben, anna)
        ]
        asked = {"question": QUESTION, "graph": "research", "settings": {"approve_plan": True}}
        plan = events_of((await ben.post(f"/api/conversations/{threads[0]}/ask", json=asked)).text)[-1]
        body = {"id": plan["id"], "decision": {"type": "approve"}}
        stolen = await anna.post(f"/api/conversations/{threads[1]}/plan", json=body)
        assert stolen.status_code == 409
        own = await ben.post(f"/api/conversations/{threads[0]}/plan", json=body)
        assert events_of(own.text)[-1]["type"] == "answer"


async def test_odd_questions_are_refused(own_stack: Stack) -> None:
    async with served(own_stack) as site:
        id = await begin(site)
        async with site.client() as client:
            for body, status in (
                ({"question": " ", "graph": "rag"}, 400),
                ({"question": "x", "graph": "compare"}, 404),
                ({"question": "x" * 30_000, "graph": "rag"}, 400),
                ({"question": "x", "graph": "rag", "settings": {"filter": 1}}, 400),
                ({"question": "x", "graph": "rag", "groups": ["staff"]}, 400),
            ):
                answer = await client.post(f"/api/conversations/{id}/ask", json=body)
                assert answer.status_code == status, body


def test_conversations_are_ordered_by_use_and_not_by_the_clock(tmp_path: Path) -> None:
    kept = Conversations(tmp_path / "kept.sqlite")
    first, second = kept.create("anna", "first"), kept.create("anna", "second")
    kept.create("ben", "other")
    assert [one.title for one in kept.owned_by("anna")] == ["second", "first"]
    kept.add_turn("anna", first.id, {"question": "\ud800 ?"})
    assert [one.title for one in kept.owned_by("anna")] == ["first", "second"]
    kept.add_turn("ben", second.id, {"question": "stolen"})
    kept.delete("ben", second.id)
    assert kept.turns("anna", second.id) == []
    kept.delete("anna", first.id)
    kept.add_turn("anna", first.id, {"question": "too late"})
    assert kept.turns("anna", first.id) == []
    assert kept.find("anna", second.id) is not None
    kept.close()
