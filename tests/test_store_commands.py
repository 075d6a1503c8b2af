"""`qwen-agentkit docs` and `qwen-agentkit store`: what they show, write and refuse."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient

from qwen_agentkit.cli.options import choose_preset
from qwen_agentkit.errors import StoreError
from qwen_agentkit.vectorstores import backup_files, client_backend, points
from qwen_agentkit.vectorstores.archive import make_backup, restore_backup
from qwen_agentkit.vectorstores.edge_backend import EdgeBackend
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.command_line import Run
from tests.fakes.embedders import BagOfWords

NAME = "docs/a\nb\u202e\x9b.md"


def chunk(source: str, number: int, count: int, **more: Any) -> dict[str, Any]:
    return {"source": source, "chunk": number, "chunk_count": count, "document_hash": "1", **more}


def fill(folder: Path) -> None:
    with QwenVectorStore(BagOfWords(), path=folder) as store:
        store.add_texts(
            ["It opens at nine.", "It closes at six.", "يغادر القارب في السابعة.", "half"],
            [
                chunk("hours.md", 1, 2, language="en"),
                chunk("hours.md", 0, 2, language="en", paid=True),
                chunk("boat.md", 0, 1, language="ar"),
                chunk(NAME, 0, 2),
            ],
        )
        store.add_texts(["a note"], ids=["note"])
    with QwenVectorStore(BagOfWords(), path=folder, tenant="acme") as store:
        store.add_texts(["secret"], [{"source": "plan.md"}])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "store")
    return tmp_path / "store"


def everything(folder: Path) -> list[str]:
    backend = EdgeBackend.acquire(folder, "documents", create=False)
    rows = [
        json.dumps([p.id, p.payload, p.dense.tolist(), *p.sparse], sort_keys=True) for p in backend.export()
    ]
    backend.close()
    return rows


def test_documents_are_listed_shown_and_removed(run: Run, folder: Path) -> None:
    listed = run("docs", "list", "--store", folder, "--json").json["documents"]
    assert [(row["source"], row["passages"], row["languages"], row["complete"]) for row in listed] == [
        ("boat.md", 1, "ar", True),
        (NAME, 1, "", False),
        ("hours.md", 2, "en", True),
        ("note", 1, "", True),
    ]
    shown = run("docs", "show", "hours.md", "--store", folder, "--json").json["passages"]
    assert [passage["text"] for passage in shown] == ["It closes at six.", "It opens at nine."]
    assert run("docs", "remove", "hours.md", "note", "--store", folder, "--json").json == {"removed": 3}
    assert [row["source"] for row in run("docs", "list", "--store", folder, "--json").json["documents"]] == [
        "boat.md",
        NAME,
    ]


def test_a_wrong_name_removes_nothing_and_names_the_nearest(run: Run, folder: Path) -> None:
    before = everything(folder)
    ran = run("docs", "remove", "boat.md", "hour.md", "--store", folder)
    assert ran.code == 2
    assert "no document 'hour.md'" in ran.err
    assert "'hours.md'" in ran.err
    assert everything(folder) == before


def test_documents_of_a_tenant_are_apart(run: Run, folder: Path) -> None:
    assert run("docs", "show", "plan.md", "--store", folder).code == 2
    listed = run("docs", "list", "--store", folder, "--tenant", "acme", "--json").json["documents"]
    assert [row["source"] for row in listed] == ["plan.md"]
    assert run("docs", "list", "--store", folder, "--tenant", "*").code == 2


def test_names_cannot_draw_lines_or_turn_text(run: Run, folder: Path) -> None:
    ran = run("docs", "list", "--store", folder)
    assert "docs/a b.md" in ran.out
    printed = ran.out + run("docs", "list", "--store", folder, "--json").out
    assert not {"\u202e", "\x9b"} & set(printed)


def test_documents_are_exported(run: Run, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    assert run("docs", "export", file, "--store", folder, "--json").json == {"exported": 5}
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert {row["text"] for row in rows} >= {"a note", "يغادر القارب في السابعة."}
    assert run("docs", "export", tmp_path / "no" / "out.jsonl", "--store", folder).code == 2
    assert list(tmp_path.glob(".out*")) == []


def test_stats_count_what_is_there(run: Run, folder: Path) -> None:
    found = run("store", "stats", "--store", folder, "--json").json
    assert (found["documents"], found["passages"], found["tenants"]) == (5, 6, 1)
    assert found["languages"] == {"unknown": 3, "en": 2, "ar": 1}
    assert (found["model"], found["dimensions"], found["preset"]) == ("bag-of-words", 64, "0.6b")
    assert found["bytes"] > 1000
    assert "languages: unknown 3, en 2, ar 1" in run("store", "stats", "--store", folder).out


@pytest.mark.parametrize("command", [("docs", "list"), ("store", "stats"), ("store", "check")])
def test_a_missing_store_is_said_and_not_made(run: Run, tmp_path: Path, command: tuple[str, str]) -> None:
    ran = run(*command, "--store", tmp_path / "none")
    assert ran.code == 2
    assert "holds no store" in ran.err
    assert not (tmp_path / "none").exists()


def test_a_backup_is_restored_as_it_was(run: Run, folder: Path, tmp_path: Path) -> None:
    file, before = tmp_path / "backup.zip", everything(folder)
    with QwenVectorStore(BagOfWords(), path=folder):
        assert run("store", "backup", file, "--store", folder, "--json").json == {"points": 6}
    assert run("store", "restore", file, "--store", tmp_path / "new", "--json").json == {"points": 6}
    assert everything(tmp_path / "new") == before
    with QwenVectorStore(BagOfWords(), path=tmp_path / "new", tenant="acme") as store:
        assert [d.page_content for d in store.similarity_search("secret")] == ["secret"]
        assert store.count() == 1


def test_restoring_replaces_a_store_only_when_told_and_not_in_use(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    file, before = tmp_path / "backup.zip", everything(folder)
    run("store", "backup", file, "--store", folder)
    with QwenVectorStore(BagOfWords(), path=folder) as store:
        store.add_texts(["later"])
        assert "add --replace" in run("store", "restore", file, "--store", folder).err
        assert "in use" in run("store", "restore", file, "--store", folder, "--replace").err
        assert store.count() == 6
    assert run("store", "restore", file, "--store", folder, "--replace").code == 0
    assert everything(folder) == before
    assert [entry.name for entry in folder.iterdir()] == ["documents"]


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.6, 0.9, 0.999])
def test_a_backup_cut_short_is_refused(folder: Path, tmp_path: Path, kept: float) -> None:
    file, before = tmp_path / "backup.zip", everything(folder)
    backend = EdgeBackend.acquire(folder, "documents", create=False)
    make_backup(backend, file, "documents")
    backend.close()
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * kept)])
    for place in (folder, tmp_path / "new"):
        with pytest.raises(StoreError, match="not a whole backup"):
            restore_backup(file, place, "documents", replace=True)
    assert everything(folder) == before
    assert not (tmp_path / "new" / "documents").exists()


def test_a_damaged_or_newer_backup_is_refused(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.zip"
    backend = EdgeBackend.acquire(folder, "documents", create=False)
    make_backup(backend, file, "documents")
    backend.close()
    with zipfile.ZipFile(file) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    manifest = json.loads(parts["manifest.json"])
    changes: list[dict[str, bytes]] = [
        {"manifest.json": json.dumps({**manifest, "format": 99}).encode()},
        {"manifest.json": json.dumps({**manifest, "points": 7}).encode()},
        {"manifest.json": b"{}"},
        {"points-00000.jsonl": b"\n".join(parts["points-00000.jsonl"].splitlines()[:3])},
        {"vectors-00000.npy": parts["vectors-00000.npy"][:-8]},
    ]
    for change in changes:
        with zipfile.ZipFile(file, "w") as other:
            for name, data in {**parts, **change}.items():
                other.writestr(name, data)
        with pytest.raises(StoreError, match="backup"):
            restore_backup(file, tmp_path / "new", "documents")
        assert not (tmp_path / "new" / "documents").exists()


def test_a_backup_that_fails_leaves_the_one_before(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "backup.zip"
    file.write_bytes(b"the one before")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup_files, "_write_part", fail)
    backend = EdgeBackend.acquire(folder, "documents", create=False)
    with pytest.raises(StoreError, match="No space left"):
        make_backup(backend, file, "documents")
    backend.close()
    assert file.read_bytes() == b"the one before"
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_check_and_repair(run: Run, folder: Path) -> None:
    sound = run("store", "check", "--store", folder, "--json")
    assert (sound.code, sound.json["points"], sound.json["problems"]) == (0, 6, [])
    assert sound.json["incomplete"] == [NAME]
    before = everything(folder)
    (folder / ".documents.12345").mkdir()
    assert run("store", "check", "--store", folder, "--json").json["leftovers"] == [".documents.12345"]
    assert run("store", "repair", "--store", folder).code == 0
    assert everything(folder) == before
    assert [entry.name for entry in folder.iterdir()] == ["documents"]


def test_a_store_that_lost_points_is_repaired_and_says_so(run: Run, tmp_path: Path) -> None:
    with QwenVectorStore(BagOfWords(), path=tmp_path / "store") as store:
        for number in range(30):
            store.add_texts([f"text {number}"])
    [file] = (tmp_path / "store").rglob("mutable_id_tracker.mappings")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    ran = run("store", "check", "--store", tmp_path / "store")
    assert ran.code == 1
    assert "damaged" in ran.out
    ran = run("store", "repair", "--store", tmp_path / "store", "--json")
    assert ran.code == 1
    assert "were lost; ingest again" in ran.json["problems"][0]["problem"]
    assert run("store", "check", "--store", tmp_path / "store").code == 0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> QdrantClient:
    client = QdrantClient(":memory:")
    monkeypatch.setattr(client_backend, "QdrantClient", lambda **_: client)
    monkeypatch.setattr(client, "close", lambda: None)
    monkeypatch.setattr(client_backend.ClientBackend, "_index", lambda self: None)
    return client


def test_a_copy_to_a_server_is_resumed(
    run: Run, folder: Path, server: QdrantClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points, "POINTS_PER_PART", 2)
    upsert, calls = server.upsert, iter([True, False])

    def dying(*arguments: Any, **options: Any) -> Any:
        if not next(calls, True):
            raise client_backend.ResponseHandlingException(OSError("the server died"))
        return upsert(*arguments, **options)

    monkeypatch.setattr(server, "upsert", dying)
    command = ("store", "copy-to", "http://server", "--store", folder, "--json")
    assert "server died" in run(*command).err
    assert run(*command).json == {"copied": 4, "present": 2, "total": 6}
    assert run(*command).json == {"copied": 0, "present": 6, "total": 6}
    with QwenVectorStore(BagOfWords(), url="http://server") as store:
        assert store.count() == 5
        assert store.similarity_search("opens nine", k=1)[0].page_content == "It opens at nine."
        assert store.count({"paid": True}) == 1
        assert store.get_by_ids(["note"])[0].page_content == "a note"
    with QwenVectorStore(BagOfWords(), url="http://server", tenant="acme") as store:
        assert store.count() == 1


def test_a_copy_to_another_embedders_collection_is_refused(
    run: Run, folder: Path, server: QdrantClient
) -> None:
    with QwenVectorStore(BagOfWords(model="other"), url="http://server") as store:
        store.add_texts(["theirs"])
    assert "expected the same" in run("store", "copy-to", "http://server", "--store", folder).err
    assert server.count("documents").count == 1


def test_the_preset_that_made_a_store_is_used(run: Run, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("The library opens at nine.", "utf-8")
    store = tmp_path / "store"
    assert choose_preset(None, store) == "0.6b"
    assert run("ingest", tmp_path / "docs", "--store", store, "--preset", "nano").code == 0
    assert (choose_preset(None, store), choose_preset("4b", store)) == ("nano", "4b")
    assert "opens at nine" in run("search", "library", "--store", store).out
    shutil.rmtree(store)
    ran = run("search", "library", "--store", store, "--preset", "nano")
    assert f"ingest DOCS --store {store} --preset nano" in ran.err
