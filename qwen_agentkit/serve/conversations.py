"""Conversations on disk: titles, turns and waiting plans as JSON. Knows SQLite, no graph and no framework."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import BaseModel

from qwen_agentkit.serve.texts import one_line

__all__ = ["Conversation", "Conversations"]

_MOST_TITLE = 120
"""Characters. A longer title is cut, as the question stands in the conversation anyway."""

_TABLES = """
create table if not exists conversations (
    id text primary key, owner text not null, title text not null, place integer not null
);
create table if not exists turns (
    id integer primary key autoincrement,
    conversation text not null references conversations (id) on delete cascade,
    body text not null
);
create index if not exists turns_of on turns (conversation);
create table if not exists plans (
    id text primary key,
    conversation text not null references conversations (id) on delete cascade,
    body text not null
);
create index if not exists plans_of on plans (conversation);
"""


class Conversation(BaseModel):
    """A conversation without its turns."""

    id: str
    title: str


class Conversations:
    """All conversations, each of one owner. No method finds one of another owner.

    Args:
        file: Of the database, which is made if need be; ":memory:" keeps nothing.
    """

    def __init__(self, file: Path | str) -> None:
        if isinstance(file, Path):
            file.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._database.execute("pragma journal_mode = wal")
        self._database.execute("pragma foreign_keys = on")
        self._database.executescript(_TABLES)

    def close(self) -> None:
        """Write what is pending and release the file."""
        with self._lock:
            self._database.close()

    def owned_by(self, owner: str) -> list[Conversation]:
        """The conversations of an owner, the last used one first."""
        rows = self._run("select id, title from conversations where owner = ? order by place desc", (owner,))
        return [Conversation(id=id, title=title) for id, title in rows]

    def create(self, owner: str, title: str) -> Conversation:
        """Add an empty conversation."""
        new = Conversation(id=uuid4().hex, title=_shorten(title))
        self._run(
            "insert into conversations select ?, ?, ?, coalesce(max(place), 0) + 1 from conversations",
            (new.id, owner, new.title),
        )
        return new

    def find(self, owner: str, id: str) -> Conversation | None:
        """A conversation of this owner, or None."""
        rows = self._run("select id, title from conversations where id = ? and owner = ?", (id, owner))
        return Conversation(id=rows[0][0], title=rows[0][1]) if rows else None

    def rename(self, owner: str, id: str, title: str) -> None:
        """Give a conversation another title."""
        self._run(
            "update conversations set title = ? where id = ? and owner = ?", (_shorten(title), id, owner)
        )

    def delete(self, owner: str, id: str) -> None:
        """Delete a conversation with its turns."""
        self._run("delete from conversations where id = ? and owner = ?", (id, owner))

    def turns(self, owner: str, id: str) -> list[dict[str, Any]]:
        """The turns of a conversation of this owner, in their order."""
        rows = self._run(
            "select body from turns join conversations on conversations.id = turns.conversation "
            "where conversation = ? and owner = ? order by turns.id",
            (id, owner),
        )
        return [json.loads(body) for (body,) in rows]

    def add_turn(self, owner: str, id: str, turn: dict[str, Any]) -> None:
        """Add a turn, unless the conversation was deleted meanwhile. It becomes the last used one."""
        self._run(
            "insert into turns (conversation, body) "
            "select id, ? from conversations where id = ? and owner = ?",
            (json.dumps(turn, ensure_ascii=True), id, owner),
        )
        self._run(
            "update conversations set place = (select max(place) + 1 from conversations) "
            "where id = ? and owner = ?",
            (id, owner),
        )

    def add_plan(self, owner: str, id: str, plan: str, body: dict[str, Any]) -> None:
        """Keep a plan that waits for a decision, unless the conversation was deleted meanwhile."""
        self._run(
            "insert into plans (id, conversation, body) "
            "select ?, id, ? from conversations where id = ? and owner = ?",
            (plan, json.dumps(body, ensure_ascii=True), id, owner),
        )

    def plans(self, owner: str, id: str) -> dict[str, dict[str, Any]]:
        """The plans of a conversation of this owner that wait, by their ids, in their order."""
        rows = self._run(
            "select plans.id, body from plans join conversations on conversations.id = plans.conversation "
            "where conversation = ? and owner = ? order by plans.rowid",
            (id, owner),
        )
        return {plan: json.loads(body) for plan, body in rows}

    def take_plan(self, owner: str, id: str, plan: str) -> dict[str, Any] | None:
        """Take a plan out of a conversation of this owner; None if it does not wait there."""
        rows = self._run(
            "delete from plans where id = ? and conversation in "
            "(select id from conversations where id = ? and owner = ?) returning body",
            (plan, id, owner),
        )
        return json.loads(rows[0][0]) if rows else None

    def all_plans(self) -> set[str]:
        """Ids of all plans that wait, whoever owns them."""
        return {plan for (plan,) in self._run("select id from plans", ())}

    def _run(self, statement: str, values: Sequence[Any]) -> list[Any]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()


def _shorten(title: str) -> str:
    return one_line(title)[:_MOST_TITLE] or "…"
