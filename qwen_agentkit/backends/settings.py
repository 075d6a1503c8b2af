"""The settings that every model class has, and what they exclude. Knows no texts and no weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from weakref import ref

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from typing_extensions import Self

from qwen_agentkit.backends.engines import check_engine, runs_in_llama
from qwen_agentkit.catalog import PRESETS, Role, preset_checkpoint
from qwen_agentkit.engine.checkpoint.residence import Residence
from qwen_agentkit.errors import InputError

if TYPE_CHECKING:  # a model in this process needs no HTTP client
    from qwen_agentkit.server.http import Server

__all__ = ["ModelSettings"]


class ModelSettings(BaseModel):
    """Which model, where its weights are computed, and how a server is asked for it."""

    # pydantic would show what was passed, and a key with it.
    model_config = ConfigDict(hide_input_in_errors=True)

    role: ClassVar[Role]
    """What a preset's checkpoint is taken for."""

    local_settings: ClassVar[tuple[str, ...]] = (
        *("device", "dtype", "engine", "adapter", "quantize", "keep_alive"),
    )
    """Settings that only apply to a model in this process."""

    model: str
    """Hub id, local folder, GGUF file, or a preset: "nano", "0.6b", "4b", "8b"."""

    revision: str | None = None
    """Commit, tag or branch on the hub."""

    device: str | None = None
    """Such as "cpu" or "cuda:0"; by default the best there is."""

    dtype: str | None = None
    """Such as "bfloat16"; by default the fastest that is accurate here."""

    engine: Literal["torch", "llama.cpp"] | None = None
    """What runs a GGUF file: "llama.cpp" maps it from the disk and computes with its weights as they are;
    "torch" writes them out in full size. None: llama.cpp, where the extra `gguf` is installed and nothing is
    set that torch alone has, which is `dtype`, `adapter`, `quantize`, and a `device` other than "cpu"."""

    adapter: str | None = None
    """LoRA adapter for this model: hub id, or a folder as peft saves it. Merged when the weights load, so it
    costs no speed; a model with one and the model without are loaded apart. Needs the extra `lora`."""

    quantize: str | None = None
    """Number type that weights are rounded to while they load."""

    keep_alive: float | None = Field(default=None, ge=0)
    """Seconds for which the weights stay in memory after the last call; 0 frees them at once. None: as long
    as this object lives."""

    base_url: str | None = None
    """Address of a server, such as "http://localhost:8000/v1", that has the model under the name `model`.
    None: in this process."""

    api_key: SecretStr | None = None
    """With `base_url`: sent as a bearer token."""

    timeout: float | None = Field(default=None, gt=0)
    """With `base_url`: seconds of silence after which a request is given up. None: 600."""

    max_retries: int | None = Field(default=None, ge=0)
    """With `base_url`: times a request is sent again to a server that is busy or down. None: 2."""

    @property
    def _residence(self) -> Residence:
        """What counts the calls; beside the fields, so that two models of the same settings are equal."""
        known: Residence | None = self.__dict__.get("_residence")
        if known is None:
            known = Residence(self._dropper())
            first: Residence = self.__dict__.setdefault("_residence", known)  # of two threads
            return first
        return known

    def unload(self) -> None:
        """Free the memory of the weights; the next call loads them again.

        They stay while another object uses the same ones. Nothing happens where none are loaded, or where a
        server has the model.

        Raises:
            ModelInUseError: A call is running, or a stream is open.
        """
        self._residence.unload()

    def _dropper(self) -> Callable[[], None]:
        """Return what lets go of the weights, without a reference to this object."""
        owner = ref(self)

        def drop() -> None:
            if (one := owner()) is not None:
                one.__dict__.pop("_backend", None)

        return drop

    def __copy__(self) -> Self:
        """Return a copy with the same weights, which lets go of them by itself."""
        copied = super().__copy__()
        copied.__dict__.pop("_residence", None)
        return copied

    def _use(self) -> AbstractContextManager[None]:
        """Keep the weights during a call."""
        return self._residence.use(self.keep_alive)

    @field_validator("model")
    @classmethod
    def _resolve_preset(cls, model: str) -> str:
        return preset_checkpoint(model, cls.role) if model in PRESETS else model

    @model_validator(mode="after")
    def _refuse_local_settings_with_a_server(self) -> Self:
        for name in self.local_settings if self.base_url is not None else ():
            value = getattr(self, name)
            if name in self.model_fields_set and value is not None:
                from qwen_agentkit.server.address import shown_address

                raise InputError(
                    f"{name}={value!r} applies to a model in this process; the server at "
                    f"{shown_address(str(self.base_url))} has settings of its own. Leave it out, or leave "
                    "base_url out."
                )
        return self

    @model_validator(mode="after")
    def _refuse_what_llama_cpp_has_not(self) -> Self:
        if self.engine == "llama.cpp":
            check_engine(self.model, self._torch_settings())
        return self

    def _torch_settings(self) -> dict[str, Any]:
        """Return the settings that torch alone has."""
        given = {name: getattr(self, name) for name in ("dtype", "adapter", "quantize")}
        given["device"] = None if self.device == "cpu" else self.device
        return {name: value for name, value in given.items() if value is not None}

    @property
    def _runs_in_llama(self) -> bool:
        """Whether llama.cpp computes, in this process."""
        return self.base_url is None and runs_in_llama(self.model, self.engine, self._torch_settings())

    def _weights(self) -> dict[str, Any]:
        """Return the settings that `load` takes from every model class."""
        return {name: getattr(self, name) for name in ("revision", "device", "dtype", "adapter", "quantize")}

    def _server(self) -> Server:
        """Return the server at `base_url`."""
        from qwen_agentkit.server.http import Server

        return Server(
            str(self.base_url),
            api_key=self.api_key.get_secret_value() if self.api_key else None,
            timeout=self.timeout,
            max_retries=self.max_retries,
        )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return a copy with settings of its own that shares the weights."""
        copied = self.model_copy()
        for name in type(self).model_fields:
            if isinstance(value := copied.__dict__.get(name), (list, dict)):
                copied.__dict__[name] = copy.deepcopy(value, memo)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings alone: weights are loaded again where they are needed."""
        return _build, (type(self), {name: getattr(self, name) for name in self.model_fields_set})


def _build(kind: type[ModelSettings], settings: dict[str, Any]) -> ModelSettings:
    return kind(**settings)
