"""Every type that pydantic lists: what is completed inside its grammar, and passes the check, is one of it.

Not the numbers and classes that no JSON stands for. The list:
https://docs.pydantic.dev/latest/api/standard_library_types/, .../api/types/ and .../api/networks/.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import ipaddress
import pathlib
import re
import typing
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import annotated_types
import pydantic
import pytest
from pydantic import Field, StringConstraints, TypeAdapter, create_model
from typing_extensions import NotRequired, TypedDict

from qwen_agentkit.chat.structured import response_format
from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.grammar.answer_check import AnswerCheck
from qwen_agentkit.engine.grammar.turn_grammar import Turn
from tests.walks import walk


class Shade(enum.Enum):
    """Shades."""

    dark = "dark"
    light = 2


class Level(enum.IntEnum):
    """Levels."""

    low = 1
    high = 2


class Tone(str, enum.Enum):
    """Tones."""

    a = "à"
    b = "b c"


class Pair(NamedTuple):
    """A pair."""

    x: int
    y: str = "z"


class Row(TypedDict):
    """A row."""

    x: int
    y: NotRequired[str]


@dataclasses.dataclass
class Point:
    """A point."""

    x: float
    y: int = 0


class Cat(pydantic.BaseModel):
    """A cat."""

    kind: Literal["cat"]
    lives: int = Field(ge=0, le=9)


class Dog(pydantic.BaseModel):
    """A dog."""

    kind: Literal["dog"]
    tricks: set[Level] = set()


A = typing.Annotated
T = TypeVar("T")


class Box(pydantic.BaseModel, typing.Generic[T]):
    """A box."""

    inside: T


STANDARD: list[Any] = [
    *(bool, int, float, str, bytes, None, type(None), Any, object, dict, list, tuple, set, frozenset),
    *(list[int], tuple[int, ...], tuple[()], tuple[int, str], set[int], frozenset[Level]),
    *(Sequence[int], Iterable[int], Mapping[str, int], dict[str, bool], dict[int, int], dict[Level, str]),
    *(collections.deque[int], collections.OrderedDict[str, int], collections.Counter[str]),
    *(collections.defaultdict[str, list[int]], decimal.Decimal, pathlib.Path, pathlib.PurePosixPath),
    *(datetime.date, datetime.time, datetime.datetime, datetime.timedelta, re.Pattern, uuid.UUID),
    *(Shade, Level, Tone, Literal["a", 1, None, True], Literal["ü"], int | None, int | str),
    *(ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Interface, ipaddress.IPv6Interface),
    *(ipaddress.IPv4Network, ipaddress.IPv6Network, Pair, Row, Point, Cat, Cat | Dog, Box[int]),
    *(A[Cat | Dog, Field(discriminator="kind")], pydantic.Secret[int], pydantic.Json[list[int]]),
]
OWN = """
StrictBool StrictInt StrictFloat StrictStr FiniteFloat PositiveInt NegativeInt NonPositiveInt NonNegativeInt
PositiveFloat NegativeFloat NonPositiveFloat NonNegativeFloat UUID1 UUID3 UUID4 UUID5 UUID6 UUID7 UUID8
Base64Bytes Base64Str Base64UrlBytes Base64UrlStr SecretStr SecretBytes Json AwareDatetime NaiveDatetime
JsonValue AnyUrl HttpUrl FileUrl FtpUrl WebsocketUrl AnyWebsocketUrl AnyHttpUrl PostgresDsn CockroachDsn
AmqpDsn RedisDsn MongoDsn KafkaDsn NatsDsn MySQLDsn MariaDBDsn ClickHouseDsn SnowflakeDsn IPvAnyAddress
IPvAnyInterface IPvAnyNetwork
"""
# What only the file system, the modules, the calendar or a unit can tell.
BEYOND = """
NewPath FilePath DirectoryPath SocketPath ImportString PastDate FutureDate PastDatetime FutureDatetime
ByteSize
"""
BOUNDED: dict[str, Any] = {
    "pattern": A[str, StringConstraints(pattern=r"^[A-Z]{2}-\d+$")],
    "lengths": A[str, StringConstraints(min_length=2, max_length=3)],
    "stripped": A[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1)],
    "multiple": A[int, Field(multiple_of=7, ge=10, lt=50)],
    "decimals": A[decimal.Decimal, Field(gt=0, max_digits=4, decimal_places=2)],
    "between": A[float, Field(gt=0.25, lt=0.5)],
    "interval": A[int, annotated_types.Interval(gt=3, le=5)],
    "two": pydantic.conlist(int, min_length=2),
    "few": A[list[Shade], Field(min_length=1, max_length=2)],
    "some keys": A[dict[A[str, StringConstraints(pattern="^[a-z]$")], int], Field(min_length=1)],
    "unique": A[set[Literal["a", "b"]], Field(min_length=2)],
}
TYPES: dict[str, Any] = {
    **{str(kind): kind for kind in STANDARD},
    **{name: getattr(pydantic, name) for name in [*OWN.split(), *BEYOND.split()]},
    **BOUNDED,
}


@pytest.fixture(scope="module")
def nano() -> Loaded:
    return load("nano-chat", chat=True)


@pytest.mark.parametrize("name", TYPES)
def test_an_answer_is_of_the_type(nano: Loaded, name: str) -> None:
    model = create_model("Answer", value=(TYPES[name], ...))
    schema = response_format(model)["json_schema"]["schema"]
    check = AnswerCheck(Turn(schema=schema), "json")
    for seed in range(2):
        text = walk(nano, Turn(schema=schema), seed)
        if text is not None and not check.find_answer_fault(text) and name not in BEYOND.split():
            TypeAdapter(model).validate_json(text)
