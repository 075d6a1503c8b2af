"""Who may read what: tokens with groups, in a file that holds only their hashes.

A token has 256 random bits, so that a plain SHA-256 is enough: there is nothing to guess. Knows no web
framework and no store.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from qwen_agentkit.errors import AccessError, InputError
from qwen_agentkit.serve.names import check_name

__all__ = ["LOCAL", "TokenFile", "User", "add_token"]

ALL_GROUPS = "*"
"""In place of the groups of a token: every document, also those of no group."""


@dataclass(frozen=True)
class User:
    """Who asks.

    Attributes:
        name: Owns conversations.
        groups: Whose documents may be read; None for all documents.
        writes: Whether documents may be added and removed.
    """

    name: str
    groups: tuple[str, ...] | None
    writes: bool

    @property
    def filter(self) -> dict[str, Any]:
        """The store's filter for what this user may read."""
        return {} if self.groups is None else {"group": list(self.groups)}

    def may_read(self, group: object) -> bool:
        """Whether this user may read what belongs to a group, or to none (None)."""
        return self.groups is None or group in self.groups


LOCAL = User("local", None, True)
"""The user of a server without tokens, which only this machine can reach."""

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class _Token(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    groups: list[Name] = Field(min_length=1)
    writes: bool = False

    @field_validator("groups")
    @classmethod
    def _check_groups(cls, groups: list[str]) -> list[str]:
        # A group is a folder of the uploads.
        return groups if groups == [ALL_GROUPS] else [check_name(group, "group") for group in groups]

    def user(self) -> User:
        groups = None if self.groups == [ALL_GROUPS] else tuple(self.groups)
        return User(self.name, groups, self.writes)


class _Tokens(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    tokens: list[_Token]

    @field_validator("tokens")
    @classmethod
    def _check_names(cls, tokens: list[_Token]) -> list[_Token]:
        for values in ([token.name for token in tokens], [token.sha256 for token in tokens]):
            if len(set(values)) < len(values):
                raise ValueError("Two tokens have one name or one hash; expected a different one for each.")
        return tokens


class TokenFile:
    """A file of tokens, read again when it has changed. While it cannot be read, nobody gets in.

    Args:
        path: Of the file.

    Raises:
        AccessError: The file is missing or no file of tokens.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._state: object = None
        self._users: dict[str, User] = {}
        self.users()

    def users(self) -> dict[str, User]:
        """The users by the hashes of their tokens.

        Raises:
            AccessError: The file is missing or no file of tokens.
        """
        with self._lock:
            try:
                found = self.path.stat()
                # Compared for equality: the clock may go back.
                state = (found.st_mtime_ns, found.st_size, found.st_ino)
                if state != self._state:
                    self._users = {token.sha256: token.user() for token in _read(self.path).tokens}
                    self._state = state
            except AccessError:  # which is an OSError, too
                self._state = None
                raise
            except OSError as error:
                self._state = None
                raise AccessError(
                    f"The file of tokens {str(self.path)!r} cannot be read ({error.strerror}). Make one: "
                    f"qwen-agentkit token anna --tokens {self.path} --group crew"
                ) from error
            return self._users

    def find(self, secret: str) -> User | None:
        """The user of a token, or None.

        Raises:
            AccessError: The file of tokens cannot be read.
        """
        return self.users().get(_hash(secret))


def add_token(path: Path, name: str, groups: list[str], *, writes: bool = False) -> str:
    """Add a token to a file, which is made if need be, and return the token. It stands nowhere else.

    Args:
        path: Of the file.
        name: Of the user.
        groups: Whose documents the user may read; ["*"] for all documents.
        writes: Whether the user may add and remove documents.

    Raises:
        InputError: The name is taken, or a value is not valid.
        AccessError: The file is there and no file of tokens.
    """
    secret = f"qak-{secrets.token_urlsafe(32)}"
    known = [token.model_dump() for token in _read(path).tokens] if path.exists() else []
    new = {"name": name, "sha256": _hash(secret), "groups": groups, "writes": writes}
    try:
        tokens = _Tokens.model_validate({"tokens": [*known, new]})
    except ValidationError as error:
        raise InputError(
            f"The token of {name!r} with the groups {groups!r} cannot be added: {_describe(error)}"
        ) from error
    new_file = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(tokens.model_dump(), file, ensure_ascii=True, indent=2)
    new_file.replace(path)
    return secret


def _read(path: Path) -> _Tokens:
    try:
        return _Tokens.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise AccessError(
            f"{str(path)!r} is no file of tokens: {_describe(error)} Expected what the command "
            "`qwen-agentkit token` writes."
        ) from error


def _describe(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}."


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
