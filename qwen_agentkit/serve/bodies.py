"""Bodies of requests: JSON as programs send it, and what every body has in common. Knows no route.

JSON: https://www.rfc-editor.org/rfc/rfc8259.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, model_validator

__all__ = ["Body", "JsonRoute", "OpenBody", "check_not_packed", "name_ignored"]

_MOST_NAMES = 50


class Body(BaseModel):
    """A body. Programs send null for what they leave out, so null stands for a field's default."""

    @model_validator(mode="before")
    @classmethod
    def _leave_out_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        needed = {name for name, field in cls.model_fields.items() if field.is_required()}
        return {name: value for name, value in given.items() if value is not None or name in needed}


class OpenBody(Body):
    """A body of an API whose programs send fields of their own. Those that nothing obeys are named."""

    model_config = ConfigDict(extra="allow")

    @property
    def unknown(self) -> dict[str, Any]:
        """The fields that are not those of the model."""
        return self.model_extra or {}


def name_ignored(names: Iterable[str]) -> dict[str, str]:
    """The header that names fields which were read and not obeyed; {} if there are none."""
    shown = [name for name in names if name.isascii() and name.replace(".", "_").isidentifier()]
    return {"x-ignored-fields": ", ".join(shown[:_MOST_NAMES])} if shown else {}


class JsonRoute(APIRoute):
    """A route that says what is wrong with a body that is no JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's, for a `_JsonRequest`."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handle_json(request: Request) -> Response:
            _check_kind(request)
            return await handle(_JsonRequest(request.scope, request.receive))

        return handle_json


class _JsonRequest(Request):
    async def json(self) -> Any:
        content = await self.body()
        try:
            value = json.loads(content)
            if b"\\ud" in content.lower():  # it may be half of a character, which no answer can repeat
                whole = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass")
                value = json.loads(whole.decode("utf-16", "replace"))
        except json.JSONDecodeError as error:
            reason = f"{error.msg} at character {error.pos} of {len(error.doc)}"
        except UnicodeDecodeError as error:
            reason = f"byte {error.start} is not {error.encoding}"
        except RecursionError:
            reason = "it is nested too deeply"
        except ValueError:
            reason = "a number has too many digits"
        else:
            return value
        raise HTTPException(400, f"The body is not JSON: {reason}. Expected one JSON object in UTF-8.")


def _check_kind(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(
            415, f"The content-type is {kind[:100]!r}; expected application/json. With curl: --json BODY"
        )
    check_not_packed(request)


def check_not_packed(request: Request) -> None:
    """Refuse a body that was compressed on its way.

    Raises:
        HTTPException: Its bytes are not those that were meant.
    """
    packed = request.headers.get("content-encoding", "identity")
    if packed.lower() != "identity":
        raise HTTPException(415, f"The content-encoding is {packed[:100]!r}. Send the body uncompressed.")
