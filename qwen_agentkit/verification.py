"""Sentences held against what they cite; lives in `qwen_agentkit.text.verification`."""

from __future__ import annotations

from qwen_agentkit.text.verification import (
    CheckedSentence,
    Missing,
    Support,
    Unsupported,
    Verdict,
    Verification,
    treat_unsupported,
    verify_citations,
)

__all__ = [
    "CheckedSentence",
    "Missing",
    "Support",
    "Unsupported",
    "Verdict",
    "Verification",
    "treat_unsupported",
    "verify_citations",
]
