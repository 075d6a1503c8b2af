"""Plans that wait for a person outlive the server, and nothing of a plan that was decided is kept."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from qwen_agentkit.serve.conversations import Conversations
from qwen_agentkit.stack import Stack
from tests.serve_site import HOURS, QUESTION, Site, events_of, served

ASKED = {"question": QUESTION, "graph": "research", "settings": {"approve_plan": True, "effort": "low"}}


async def begin_plan(client: httpx.AsyncClient) -> tuple[str, dict[str, Any]]:
    """A conversation, and the plan that waits in it."""
    id = str((await client.post("/api/conversations", json={"title": QUESTION})).json()["id"])
    plan = events_of((await client.post(f"/api/conversations/{id}/ask", json=ASKED)).text)[-1]
    assert plan["type"] == "plan"
    return id, plan


async def kept_runs(site: Site) -> set[str]:
    """Ids of the runs on disk."""
    saver = site.app.state.service.runner._saver
    return {one.config["configurable"]["thread_id"] async for one in saver.alist(None)}


async def test_a_plan_is_approved_after_the_server_was_started_again(own_stack: Stack) -> None:
    async with served(own_stack) as site, site.client() as client:
        id, plan = await begin_plan(client)
    async with served(own_stack) as site, site.client() as client:
        found = (await client.get(f"/api/conversations/{id}")).json()
        assert found["turns"] == []
        assert found["plans"] == [{"id": plan["id"], "question": QUESTION, "plan": plan["plan"]}]
        body = {"id": plan["id"], "decision": {"type": "approve"}}
        events = events_of((await client.post(f"/api/conversations/{id}/plan", json=body)).text)
        assert events[-1]["type"] == "answer"
        assert events[-1]["sentences"][-1]["sources"] == [{"marker": 1, "quote": HOURS}]
        assert "prepare" not in [one.get("stage") for one in events]  # it goes on, and does not begin anew
        after = (await client.get(f"/api/conversations/{id}")).json()
        assert [turn["question"] for turn in after["turns"]] == [QUESTION]
        assert after["plans"] == []
        assert (await client.post(f"/api/conversations/{id}/plan", json=body)).status_code == 409
        assert await kept_runs(site) == set()


async def test_a_plan_is_found_in_its_own_conversation_alone(own_stack: Stack) -> None:
    async with served(own_stack) as site, site.client() as client:
        id, plan = await begin_plan(client)
        other = (await client.post("/api/conversations", json={"title": "x"})).json()["id"]
        body = {"id": plan["id"], "decision": {"type": "reject"}}
        assert (await client.post(f"/api/conversations/{other}/plan", json=body)).status_code == 409
        assert (await client.post(f"/api/conversations/{id}/plan", json=body)).status_code == 200


async def test_what_a_user_may_read_counts_when_the_plan_is_approved(own_stack: Stack) -> None:
    """A group that was left while the plan waited, across a restart, finds nothing any more."""
    async with served(own_stack, {"ben": ["crew"]}) as site, site.client("ben") as client:
        id, plan = await begin_plan(client)
    async with served(own_stack, {"ben": ["staff"]}) as site, site.client("ben") as client:
        body = {"id": plan["id"], "decision": {"type": "approve"}}
        answer = events_of((await client.post(f"/api/conversations/{id}/plan", json=body)).text)[-1]
        passages = [*answer["passages"], *answer["nearest"]]
        assert all(passage["group"] == "staff" for passage in passages)
        assert HOURS not in str(answer)


async def test_a_plan_of_another_token_is_not_there_after_a_restart(own_stack: Stack) -> None:
    users = {"anna": ["crew"], "ben": ["staff"]}
    async with served(own_stack, users) as site, site.client("ben") as client:
        id, plan = await begin_plan(client)
    async with served(own_stack, users) as site, site.client("anna") as client:
        assert (await client.get(f"/api/conversations/{id}")).status_code == 404
        body = {"id": plan["id"], "decision": {"type": "approve"}}
        assert (await client.post(f"/api/conversations/{id}/plan", json=body)).status_code == 404
        own = (await client.post("/api/conversations", json={"title": "x"})).json()["id"]
        assert (await client.post(f"/api/conversations/{own}/plan", json=body)).status_code == 409


async def test_a_deleted_conversation_takes_its_plans_along(own_stack: Stack) -> None:
    async with served(own_stack) as site, site.client() as client:
        id, _ = await begin_plan(client)
        assert len(await kept_runs(site)) == 1
        assert (await client.delete(f"/api/conversations/{id}")).status_code == 204
        assert await kept_runs(site) == set()


async def test_only_runs_that_wait_are_kept(own_stack: Stack) -> None:
    async with served(own_stack) as site, site.client() as client:
        id, plan = await begin_plan(client)
        await begin_plan(client)
        done = {"question": QUESTION, "graph": "research"}
        assert "answer" in (await client.post(f"/api/conversations/{id}/ask", json=done)).text
        assert len(await kept_runs(site)) == 2
        # A server that was killed between the two files leaves a run that nobody waits for.
        site.app.state.service.conversations.take_plan("local", id, plan["id"])
    async with served(own_stack) as site:
        assert len(await kept_runs(site)) == 1


async def test_a_plan_whose_run_is_lost_says_so(own_stack: Stack) -> None:
    async with served(own_stack) as site, site.client() as client:
        id, plan = await begin_plan(client)
        data = site.library.data
    for file in data.glob("plans.sqlite*"):
        file.unlink()
    async with served(own_stack) as site, site.client() as client:
        body = {"id": plan["id"], "decision": {"type": "approve"}}
        event = events_of((await client.post(f"/api/conversations/{id}/plan", json=body)).text)[-1]
        assert (event["type"], event["code"]) == ("error", "plan_lost")


@pytest.mark.parametrize("owner", ["anna", "ben"])
def test_plans_belong_to_the_owner_of_their_conversation(owner: str) -> None:
    conversations = Conversations(":memory:")
    id = conversations.create("anna", "x").id
    conversations.add_plan("ben", id, "stolen", {"n": 0})
    conversations.add_plan("anna", id, "first", {"n": 1})
    conversations.add_plan("anna", id, "second", {"n": 2})
    mine = owner == "anna"
    assert list(conversations.plans(owner, id)) == (["first", "second"] if mine else [])
    assert (conversations.take_plan(owner, id, "first") == {"n": 1}) == mine
    assert conversations.all_plans() == ({"second"} if mine else {"first", "second"})
    conversations.delete("anna", id)
    assert conversations.all_plans() == set()
    conversations.close()
