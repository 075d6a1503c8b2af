"""The token ids of texts to embed: prompt, text, and the token whose state is the vector."""

from __future__ import annotations

from collections.abc import Sequence

from qwen_agentkit.backends.interfaces import Reading, refuse_cut_texts
from qwen_agentkit.engine.checkpoint.tokens import encode
from qwen_agentkit.engine.checkpoint.vocabulary import Vocabulary
from qwen_agentkit.prompts import END_OF_TEXT

__all__ = ["embed_tokens"]


def embed_tokens(
    loaded: Vocabulary, texts: Sequence[str], prompt: str, limit: int, reading: Reading
) -> tuple[list[list[int]], list[bool]]:
    """Return the token ids of each text, at most `limit`, and whether it was cut.

    Raises:
        InputTooLongError: A text is longer, and `reading` does not allow to cut.
    """
    ids = encode(loaded, [prompt + text for text in texts], limit - 1)
    cut = [len(tokens) > limit - 1 for tokens in ids]
    if not reading.may_cut:
        refuse_cut_texts(texts, cut, limit)
    end = loaded.token_id(END_OF_TEXT)
    return [[*tokens[: limit - 1], end] for tokens in ids], cut
