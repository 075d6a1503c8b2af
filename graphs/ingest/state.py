"""What `ingest` keeps between its nodes, and the settings that a caller may choose. No behavior."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

__all__ = ["IngestContext", "IngestInput", "IngestState"]


class IngestInput(TypedDict):
    """What a caller sends: nothing. No request can name a folder."""


class IngestState(TypedDict):
    """State of `ingest`."""

    report: dict[str, Any]
    """Documents added, skipped, removed and failed, warnings, files passed over, and the seconds it took."""
    gone: list[str]
    """Sources of the stored documents whose files are gone."""
    share: float
    """Their share of the documents stored from these folders, 0 to 1."""
    approved: bool
    """Whether they may be deleted."""
    timings: dict[str, float]
    """Seconds of each stage."""


class IngestContext(BaseModel):
    """Settings of one run. They may come from a request: no folders, and no way around the approval."""

    model_config = ConfigDict(extra="forbid")

    prune: bool = Field(default=True, description="Delete documents whose files are gone")
