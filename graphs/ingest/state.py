"""What `ingest` keeps between its nodes, and the settings a caller may choose."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

__all__ = ["IngestContext", "IngestInput", "IngestState"]


class IngestInput(TypedDict):
    """What a caller sends: nothing. Which folders are read is not for a request to say."""


class IngestState(TypedDict):
    """What the nodes of `ingest` keep."""

    report: dict[str, Any]
    """What was done, in documents: added, skipped, removed, failed, and seconds."""
    gone: list[str]
    """Stored documents whose files are no longer there."""
    share: float
    """Their part of the documents stored of these folders, 0 to 1."""
    approved: bool
    """Whether they may be deleted."""
    timings: dict[str, float]
    """Seconds of each stage."""


class IngestContext(BaseModel):
    """Settings of one run. They may come from a request: no folders, and no leave to delete unasked."""

    model_config = ConfigDict(extra="forbid")

    prune: bool = Field(default=True, description="Delete documents whose files are gone")
