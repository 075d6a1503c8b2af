"""Documents of a served store: listed, uploaded, replaced, refused and removed."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from qwen_agentkit.errors import InputError
from qwen_agentkit.serve.names import check_document_name, check_name
from qwen_agentkit.serve.service import MOST_UPLOAD
from qwen_agentkit.stack import Stack
from tests.serve_site import served


async def test_an_upload_is_found_replaced_and_removed(tmp_path: Path) -> None:
    async with served(Stack("nano", tmp_path / "store")) as site, site.client() as client:
        assert (await client.get("/v1/documents")).json() == {"documents": []}
        empty = await client.post("/v1/search", json={"query": "boat"})
        assert empty.json() == {"results": []}
        name = quote("مواعيد القارب.md")
        first = await client.put(f"/v1/documents/{name}", content="يغادر القارب في السابعة والنصف.".encode())
        assert first.json() | {"seconds": 0} == {
            "source": "uploads/مواعيد القارب.md",
            "changed": True,
            "warnings": [],
            "seconds": 0,
        }
        again = await client.put(f"/v1/documents/{name}", content="يغادر القارب في السابعة والنصف.".encode())
        assert again.json()["changed"] is False
        changed = await client.put(f"/v1/documents/{name}", content="يغادر القارب في الثامنة.".encode())
        assert changed.json()["changed"] is True
        [found] = (await client.get("/v1/documents")).json()["documents"]
        assert (found["languages"], found["chunks"], found["uploaded"]) == (["ar"], 1, True)
        text = (await client.post("/v1/search", json={"query": "When does the boat leave?"})).text
        assert "الثامنة" in text
        assert "السابعة" not in text
        assert (await client.delete(f"/v1/documents/{found['id']}")).json()["source"] == found["source"]
        assert (await client.delete(f"/v1/documents/{found['id']}")).status_code == 404
        assert (await client.get("/v1/documents")).json() == {"documents": []}
        assert [path.name for path in site.library.uploads.rglob("*")] == []


async def test_a_file_that_cannot_be_read_leaves_the_old_one(tmp_path: Path) -> None:
    async with served(Stack("nano", tmp_path / "store")) as site, site.client() as client:
        await client.put("/v1/documents/a.txt", content=b"The kiln is hot.")
        for bad in (b"\0\0\0", b""):
            answer = await client.put("/v1/documents/a.txt", content=bad)
            assert answer.status_code == 422
            assert "cannot be read" in answer.json()["error"]["message"]
        assert (await client.put("/v1/documents/b.pdf", content=b"not a pdf")).status_code == 422
        assert "The kiln is hot." in (await client.post("/v1/search", json={"query": "kiln"})).text
        assert {path.name for path in site.library.uploads.rglob("*")} == {"a.txt"}
        assert (site.library.uploads / "a.txt").read_bytes() == b"The kiln is hot."


async def test_an_upload_belongs_to_a_group_of_its_writer(tmp_path: Path) -> None:
    users = {"anna": ["crew"], "crew-writer": ["crew"], "two-writer": ["crew", "staff"], "all-writer": ["*"]}
    async with served(Stack("nano", tmp_path / "store"), users) as site:
        async with site.client("anna") as anna:
            assert (await anna.put("/v1/documents/a.md", content=b"x y z")).status_code == 403
            assert (await anna.delete("/v1/documents/1")).status_code == 403
        async with site.client("crew-writer") as writer:
            assert (await writer.put("/v1/documents/a.md?group=staff", content=b"x")).status_code == 403
            made = await writer.put("/v1/documents/a.md", content=b"The boat is blue.")
            assert made.json()["source"] == "uploads/crew/a.md"
        async with site.client("two-writer") as writer:
            assert (await writer.put("/v1/documents/a.md", content=b"x")).status_code == 400
            made = await writer.put("/v1/documents/a.md?group=staff", content=b"The safe is red.")
            assert made.json()["source"] == "uploads/staff/a.md"
        async with site.client("all-writer") as writer:
            for group in ("..", "a%2Fb", "", "%2E"):
                answer = await writer.put(f"/v1/documents/a.md?group={group}", content=b"x")
                assert answer.status_code == 400
            assert len((await writer.get("/v1/documents")).json()["documents"]) == 2
        async with site.client("crew-writer") as writer:
            [found] = (await writer.get("/v1/documents")).json()["documents"]
            assert found["group"] == "crew"
            assert (await writer.delete(f"/v1/documents/{found['id']}")).status_code == 200
        async with site.client("all-writer") as writer:
            [left] = (await writer.get("/v1/documents")).json()["documents"]
            assert left["source"] == "uploads/staff/a.md"


BAD_NAMES = [
    "../a.md",
    "a/../../b.md",
    "/etc/a.md",
    "C:\\a.md",
    "a\0.md",
    "a\n.md",
    "a\u202egpj.md",
    "\u2066a.md",
    "a\u200b.md",
    "a\ufeff.md",
    ".hidden.md",
    "~$a.docx",
    " a.md",
    "a.md ",
    "..md",
    ".md",
    "",
    "a.exe",
    "a",
    "ا" * 150 + ".md",
    "a?.md",
    "\ud800.md",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_names_that_are_not_safe_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        check_document_name(name)


@pytest.mark.parametrize(
    "name", ["می‌خواهم.md", "报告 2024（终）.PDF", "हिन्दी.txt", "a.b-c_d+1.csv", "Ünï.md"]
)
def test_names_of_every_script_are_kept(name: str) -> None:
    assert check_document_name(name) == name
    assert check_name("e\u0301", "group") == "é"


async def test_no_name_of_a_request_leaves_the_folder(tmp_path: Path) -> None:
    async with served(Stack("nano", tmp_path / "store")) as site, site.client() as client:
        for name in BAD_NAMES[:-1]:
            answer = await client.put(f"/v1/documents/{quote(name, safe='')}", content=b"text")
            assert answer.status_code in (400, 404, 405), name
        for id in ("..%2F..%2Fstore", "*", "%00"):
            assert (await client.delete(f"/v1/documents/{id}")).status_code == 404
        assert not site.library.uploads.exists()
        assert not list(tmp_path.rglob("*.md"))


async def test_an_upload_that_is_too_large_is_refused_before_it_is_received(tmp_path: Path) -> None:
    received = 0

    async def zeros() -> object:
        nonlocal received
        for _ in range(2048):
            received += 1 << 20
            yield b"0" * (1 << 20)

    async with served(Stack("nano", tmp_path / "store")) as site, site.client() as client:
        told = await client.put(
            "/v1/documents/a.txt", content=zeros(), headers={"content-length": "2147483648"}
        )
        assert told.status_code == 413
        assert received == 0
        untold = await client.put("/v1/documents/a.txt", content=zeros())
        assert untold.status_code == 413
        assert received <= MOST_UPLOAD + (2 << 20)
        assert not [path for path in site.library.data.rglob("*") if path.name in ("content", "a.txt")]


async def test_reading_around_a_passage(tmp_path: Path) -> None:
    text = "\n\n".join(f"## Part {n}\n\n" + f"The word of part {n} is number {n}. " * 60 for n in range(6))
    async with served(Stack("nano", tmp_path / "store")) as site, site.client() as client:
        await client.put("/v1/documents/long.md", content=text.encode())
        [best] = (await client.post("/v1/search", json={"query": "part 3", "limit": 1})).json()["results"]
        id, place = best["passage"]["id"], best["passage"]["chunk"]
        near = (await client.get(f"/v1/passages/{id}?around=2")).json()["passages"]
        chunks = [passage["chunk"] for passage in near]
        assert chunks == list(range(max(0, place - 2), max(chunks) + 1))
        assert place in chunks
        assert len(chunks) > 2
        assert (await client.get(f"/v1/passages/{id}?around=99")).status_code == 400
        assert (await client.get("/v1/passages/none")).status_code == 404
