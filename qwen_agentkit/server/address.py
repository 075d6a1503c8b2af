"""Addresses of servers as users paste them: checked, split, and shown without secrets. Sends nothing."""

from __future__ import annotations

import re

import httpx

from qwen_agentkit.errors import InputError

__all__ = ["check_address", "shown_address", "split_address"]

_EXAMPLE = "'http://localhost:8000/v1'"

# Routes that are often copied along with an address, and the folders below which servers keep their routes.
_ROUTE = re.compile(r"/(chat/completions|completions|embeddings|rerank|score|models)$", re.IGNORECASE)
_VERSION = re.compile(r"(/v\d[\w.]*)?/openai$|/v\d[\w.]*$", re.IGNORECASE)


def check_address(url: str) -> None:
    """Check that a URL can be the base of a server's routes.

    Raises:
        InputError: It is not an HTTP address, or it has a query or a fragment.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        shown = re.split(r"[?#]", url.rpartition("@")[2])[0]
        raise InputError(
            f"base_url={shown!r} is not an address; expected one like {_EXAMPLE}. Begin it with 'http://' or "
            "'https://', followed by the host."
        )
    if "?" in url or "#" in url:
        raise InputError(
            f"base_url, an address at {parsed.host!r}, has a query or a fragment; expected one like "
            f"{_EXAMPLE}. Leave out what begins with '?' or '#', and pass a key as api_key=."
        )


def split_address(address: str) -> tuple[str, str]:
    """Split an address into the server and the folder of its routes.

    Returns:
        Such as ("http://host", "/v1"). A route at the end is left out; without a folder it is "/v1".
    """
    scheme, _, rest = address.partition("://")
    host, *folders = rest.split("/")
    path = _ROUTE.sub("", "".join(f"/{folder}" for folder in folders if folder))
    version = _VERSION.search(path)
    if version is None:
        return f"{scheme}://{host}{path}", "/v1"
    return f"{scheme}://{host}{path[: version.start()]}", version[0].lower()


def shown_address(address: str) -> str:
    """Return an address without what may be a secret: name and password, query, fragment."""
    return re.sub(r"(?<=//)[^/?#]*@|[?#].*", "", address)
