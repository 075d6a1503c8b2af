"""The tokenizer of a checkpoint, read from its files. Knows vocabularies and token ids, no model.

tokenizer.json holds the whole tokenizer; tokenizer_config.json names special tokens and may add others. The
chat template is in chat_template.jinja, or in tokenizer_config.json of older checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from qwen_agentkit.engine.model_config import read_json
from qwen_agentkit.errors import ModelUnsupportedError

__all__ = ["Tokenizer", "read_tokenizer"]

_SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token")
_FURTHER_SPECIAL = ("additional_special_tokens", "extra_special_tokens")


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """Text to token ids and back. Names are those of transformers' fast tokenizers.

    Attributes:
        backend_tokenizer: What does the work.
        special_tokens_map: Special tokens by their purpose, such as "eos_token", for chat templates.
        chat_template: Source of the chat template; None where there is none.
    """

    backend_tokenizer: Backend
    special_tokens_map: Mapping[str, str] = field(default_factory=dict)
    chat_template: str | None = None

    def __len__(self) -> int:
        """Return the number of tokens, with the added ones."""
        return self.backend_tokenizer.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """Return the token ids of a text in which special tokens count."""
        ids: list[int] = self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens).ids
        return ids

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Return the text of token ids."""
        return str(self.backend_tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens))

    def convert_ids_to_tokens(self, number: int) -> str | None:
        """Return the token of an id; None where the vocabulary has none."""
        token: str | None = self.backend_tokenizer.id_to_token(number)
        return token

    @cached_property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Tokens that were added to the vocabulary, by their ids."""
        return dict(self.backend_tokenizer.get_added_tokens_decoder())

    @property
    def eos_token_id(self) -> int | None:
        """Id of the token that ends a text."""
        return self._id_of("eos_token")

    def _id_of(self, purpose: str) -> int | None:
        token = self.special_tokens_map.get(purpose)
        number: int | None = None if token is None else self.backend_tokenizer.token_to_id(token)
        return number

    def as_plain_reader(self) -> Backend:
        """Return one that reads "<|im_end|>" in a document as characters of text: a copy, or itself."""
        if self.backend_tokenizer.encode_special_tokens:
            return self.backend_tokenizer
        plain = Backend.from_str(self.backend_tokenizer.to_str())
        plain.encode_special_tokens = True
        return plain


def read_tokenizer(folder: Path, name: str) -> Tokenizer:
    """Read the tokenizer of a checkpoint.

    Args:
        folder: Where its files are.
        name: Name of the checkpoint, for errors.

    Raises:
        ModelUnsupportedError: There is no readable tokenizer.json.
    """
    path, settings = folder / "tokenizer.json", folder / "tokenizer_config.json"
    if not path.is_file():
        raise ModelUnsupportedError(
            f"{name!r} has no tokenizer.json, which every Qwen checkpoint has. Download it again."
        )
    try:
        backend = Backend.from_file(str(path))
        config = read_json(settings) if settings.is_file() else {}
        template = _read_template(folder, config)
    except Exception as error:  # tokenizers raises nothing more specific
        raise ModelUnsupportedError(
            f"The tokenizer of {name!r} cannot be read ({error}). Download the checkpoint again."
        ) from error
    backend.no_truncation()
    backend.no_padding()
    special = {purpose: _content(config[purpose]) for purpose in _SPECIAL if config.get(purpose)}
    _add_tokens(backend, config, special)
    return Tokenizer(backend, special, template)


def _add_tokens(backend: Backend, config: Mapping[str, Any], special: Mapping[str, str]) -> None:
    """Add the tokens that tokenizer_config.json has and tokenizer.json has not."""
    listed = sorted((config.get("added_tokens_decoder") or {}).items(), key=lambda item: int(item[0]))
    tokens = [AddedToken(**_flags(token)) for _, token in listed if isinstance(token, Mapping)]
    further = [_content(token) for key in _FURTHER_SPECIAL for token in _listed(config.get(key))]
    tokens += [AddedToken(token, special=True) for token in (*special.values(), *further)]
    known = {token.content for token in backend.get_added_tokens_decoder().values()}
    for token in tokens:
        if token.content not in known:
            known.add(token.content)
            backend.add_tokens([token])


def _flags(token: Mapping[str, Any]) -> dict[str, Any]:
    names = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
    return {name: token[name] for name in names if name in token}


def _listed(tokens: Any) -> list[Any]:
    """Return the tokens of a list, or of a mapping by purpose."""
    return list(tokens.values()) if isinstance(tokens, Mapping) else list(tokens or ())


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, Mapping) else token)


def _read_template(folder: Path, config: Mapping[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    held = config.get("chat_template")
    if isinstance(held, list):  # several by name; the others are for other uses than chats
        held = {item["name"]: item["template"] for item in held}.get("default")
    return None if held is None else str(held)
