"""Who gets in, and what they can reach: tokens, groups, hosts, origins and sizes, on every route."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from qwen_agentkit.errors import AccessError, InputError
from qwen_agentkit.serve.access import TokenFile, add_token
from qwen_agentkit.stack import Stack
from tests.serve_site import QUESTION, Site, events_of, served

SECRET = "What is the code of the safe?"
USERS = {"anna": ["crew"], "ben": ["staff"], "chief": ["*"], "anna-writer": ["crew"]}


async def staff_passage(site: Site) -> str:
    async with site.client("ben") as ben:
        found = (await ben.post("/v1/search", json={"query": SECRET})).json()["results"]
    return next(one["passage"]["id"] for one in found if "QZ4417" in one["passage"]["text"])


async def test_groups_hold_on_every_route(nano_stack: Stack) -> None:
    async with served(nano_stack, USERS) as site:
        hidden = await staff_passage(site)
        async with site.client("anna") as anna:
            answers = [
                await anna.post("/v1/search", json={"query": SECRET, "limit": 200, "candidates": 200}),
                await anna.get("/v1/documents"),
                await anna.get(f"/v1/passages/{hidden}"),
                await anna.get(f"/v1/passages/{hidden}?around=5"),
            ]
            for graph in ("rag", "corrective_rag", "research", "agent"):
                body = {"model": graph, "messages": [{"role": "user", "content": SECRET}]}
                answers.append(await anna.post("/v1/chat/completions", json=body))
                loose = {**body, "settings": {"min_score": 0}}
                answers.append(await anna.post("/v1/chat/completions", json=loose))
            for answer in answers:
                assert "QZ4417" not in answer.text
                assert "staff" not in answer.text
            assert answers[2].status_code == answers[3].status_code == 404
            assert "crew/hours.md" in answers[1].text
        async with site.client("chief") as chief:
            assert "QZ4417" in (await chief.post("/v1/search", json={"query": SECRET})).text
            sources = [one["source"] for one in (await chief.get("/v1/documents")).json()["documents"]]
            assert len(sources) == 4


@pytest.mark.parametrize("graph", ["rag", "corrective_rag", "research", "agent"])
async def test_a_reader_of_the_group_finds_it(nano_stack: Stack, graph: str) -> None:
    async with served(nano_stack, USERS) as site, site.client("ben") as ben:
        body = {
            "model": graph,
            "messages": [{"role": "user", "content": SECRET}],
            "settings": {"min_score": 0},
        }
        assert "QZ4417" in (await ben.post("/v1/chat/completions", json=body)).text


ROUTES = [
    ("GET", "/v1/models"),
    ("GET", "/v1/documents"),
    ("GET", "/v1/passages/1"),
    ("PUT", "/v1/documents/a.md"),
    ("DELETE", "/v1/documents/1"),
    ("POST", "/v1/search"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/rerank"),
    ("GET", "/api/session"),
    ("GET", "/api/conversations"),
    ("POST", "/api/conversations/1/ask"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("POST", "/mcp"),
    ("GET", "/no-such-route"),
]


async def test_without_a_token_only_the_page_and_health_answer(nano_stack: Stack) -> None:
    async with served(nano_stack, USERS) as site:
        for secret in (None, "Bearer ", "Bearer wrong", f"Basic {site.secrets['anna']}", "Bearer \u00ff"):
            headers = {} if secret is None else {"authorization": secret.encode("latin-1")}
            async with site.client() as client:
                for method, path in ROUTES:
                    answer = await client.request(method, path, headers=headers)
                    assert answer.status_code == 401, path
                    assert answer.headers["www-authenticate"] == "Bearer"
                for path in ("/", "/page/app.js", "/page/words/ar.json", "/health"):
                    assert (await client.get(path)).status_code == 200


async def test_a_broken_or_changed_file_of_tokens_lets_nobody_in(nano_stack: Stack) -> None:
    async with served(nano_stack, USERS) as site, site.client("anna") as anna:
        file = site.tokens
        content = json.loads(file.read_text())
        assert (await anna.get("/v1/models")).status_code == 200
        file.write_text("{")
        assert (await anna.get("/v1/models")).status_code == 401
        file.write_text(json.dumps({"tokens": [one for one in content["tokens"] if one["name"] != "anna"]}))
        assert (await anna.get("/v1/models")).status_code == 401
        file.write_text(json.dumps(content))
        assert (await anna.get("/v1/models")).status_code == 200
        file.unlink()
        assert (await anna.get("/v1/models")).status_code == 401


@pytest.mark.parametrize(
    "groups", [[], [""], [" "], ["*", "crew"], ["a/b"], [".."], ["x\u202e"], ["crew", "*"]]
)
def test_odd_groups_are_refused(tmp_path: Path, groups: list[str]) -> None:
    with pytest.raises(InputError, match="cannot be added"):
        add_token(tmp_path / "tokens.json", "anna", groups)
    assert not (tmp_path / "tokens.json").exists()


def test_a_file_of_tokens_holds_no_token(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    secret = add_token(file, "anna", ["crew"])
    assert secret not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    user = TokenFile(file).find(secret)
    assert user is not None
    assert (user.name, user.groups, user.writes) == ("anna", ("crew",), False)
    with pytest.raises(InputError, match="one name"):
        add_token(file, "anna", ["staff"])
    for wrong in ('{"tokens": [{"name": "x"}]}', '{"tokens": []} x', "[]", '{"tokens": [], "more": 1}'):
        file.write_text(wrong)
        with pytest.raises(AccessError, match="no file of tokens"):
            TokenFile(file)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:8100"}, 200),
        ({"host": "localhost:1"}, 200),
        ({"host": "[::1]:8100"}, 200),
        ({"host": "evil.example:8100"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": ""}, 421),
        ({"host": "127.0.0.1@evil.example"}, 421),
        ({"origin": "http://127.0.0.1:8100"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"content-length": "99999999999"}, 413),
        ({"content-length": "-1"}, 413),
    ],
    ids=str,
)
async def test_requests_from_other_sites_are_refused(
    nano_stack: Stack, headers: dict[str, str], status: int
) -> None:
    async with served(nano_stack) as site, site.client() as client:
        answer = await client.get("/health", headers=headers)
    assert answer.status_code == status
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_a_body_without_a_length_is_counted(nano_stack: Stack) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        for _ in range(64):
            sent += 1 << 20
            yield b" " * (1 << 20)

    async with served(nano_stack) as site, site.client() as client:
        answer = await client.post(
            "/v1/search", content=endless(), headers={"content-type": "application/json"}
        )
    assert answer.status_code == 413
    assert sent < 20 << 20


async def test_a_thread_of_another_token_is_not_there(own_stack: Stack) -> None:
    async with served(own_stack, USERS) as site, site.client("anna") as anna, site.client("ben") as ben:
        id = (await ben.post("/api/conversations", json={"title": "Mine"})).json()["id"]
        asked = {"question": SECRET, "graph": "rag"}
        answer = await ben.post(f"/api/conversations/{id}/ask", json=asked)
        assert "QZ4417" in answer.text
        for attempt in (
            anna.get(f"/api/conversations/{id}"),
            anna.patch(f"/api/conversations/{id}", json={"title": "x"}),
            anna.delete(f"/api/conversations/{id}"),
            anna.post(f"/api/conversations/{id}/ask", json=asked),
        ):
            assert (await attempt).status_code == 404
        assert (await anna.get("/api/conversations")).json() == []
        assert len((await ben.get(f"/api/conversations/{id}")).json()["turns"]) == 1


async def test_an_answer_from_a_group_that_was_left_is_withheld(own_stack: Stack) -> None:
    async with served(own_stack, USERS) as site, site.client("ben") as ben:
        id = (await ben.post("/api/conversations", json={"title": "Mine"})).json()["id"]
        await ben.post(f"/api/conversations/{id}/ask", json={"question": SECRET, "graph": "rag"})
        assert "QZ4417" in (await ben.get(f"/api/conversations/{id}")).text
        file = site.tokens
        file.write_text(file.read_text().replace('"staff"', '"crew"'))
        left = (await ben.get(f"/api/conversations/{id}")).json()
        assert left["turns"] == [{"question": SECRET, "graph": "rag", "withheld": True}]
        # Nor does it come back as the history of the next question.
        again = await ben.post(f"/api/conversations/{id}/ask", json={"question": QUESTION, "graph": "rag"})
        assert "QZ4417" not in again.text
        assert events_of(again.text)[-1]["answer"]


async def test_no_route_tells_more_than_it_was_asked(nano_stack: Stack) -> None:
    """Paths of this machine stand in no answer, and unknown fields are refused."""
    async with served(nano_stack, USERS) as site, site.client("chief") as chief:
        answers: list[httpx.Response] = [
            await chief.get(path) for path in ("/v1/documents", "/v1/models", "/api/session", "/health")
        ]
        answers.append(await chief.post("/v1/search", json={"query": QUESTION}))
        for answer in answers:
            assert answer.status_code == 200
            assert not re.search(str(nano_stack.folder.parent), answer.text)
        for body in (
            {"query": "x", "filter": {}},
            {"query": "x", "store": "/"},
            {"query": "x", "limit": 999},
        ):
            assert (await chief.post("/v1/search", json=body)).status_code == 400
        for path in ("/page/../app.py", "/page/%2e%2e/app.py", "/page/words/../../app.py", "/page/none.js"):
            assert (await chief.get(path)).status_code == 404
