"""Which extra to install when an optional package is missing. Knows names of packages only."""

from __future__ import annotations

from qwen_agentkit.errors import MissingExtraError

__all__ = ["missing_extra"]


def missing_extra(error: ModuleNotFoundError, package: str, extra: str) -> ImportError:
    """The error to raise instead: `error` itself when something else than `package` is missing."""
    if (error.name or "").split(".")[0] != package:
        return error
    return MissingExtraError(
        f"{package} is not installed; expected the extra {extra!r}. "
        f"Type: pip install 'qwen-agentkit[{extra}]'"
    )
