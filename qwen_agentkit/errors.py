"""Every error this package raises on purpose.

Each message says what was wrong with the value, what was expected, and what to type next.

::

    QwenAgentKitError
    ├── InputError (ValueError)          a value the caller passed
    │   └── InputTooLongError            text that does not fit the context
    ├── ModelError                       a checkpoint
    │   ├── ModelNotFoundError           neither on disk nor downloadable
    │   └── ModelUnsupportedError        found, but not loadable here
    ├── OutOfMemoryError (MemoryError)   an answer needs more memory than there is
    ├── StoreError                       a vector store
    │   ├── StoreNotFoundError           the folder holds no store
    │   ├── StoreMismatchError           made by another embedder or dimension
    │   ├── StoreLockedError             held by another process
    │   └── StoreWriteError              disk full or read-only
    ├── LoadError (ValueError)           a document that cannot be read
    └── MissingExtraError (ImportError)  an optional dependency is not installed
"""

from __future__ import annotations

__all__ = [
    "InputError",
    "InputTooLongError",
    "LoadError",
    "MissingExtraError",
    "ModelError",
    "ModelNotFoundError",
    "ModelUnsupportedError",
    "OutOfMemoryError",
    "QwenAgentKitError",
    "StoreError",
    "StoreLockedError",
    "StoreMismatchError",
    "StoreNotFoundError",
    "StoreWriteError",
]


class QwenAgentKitError(Exception):
    """The root: catch it to catch everything this package raises on purpose."""


class InputError(QwenAgentKitError, ValueError):
    """A value the caller passed cannot be used."""


class InputTooLongError(InputError):
    """A text does not fit the context of the model."""


class OutOfMemoryError(QwenAgentKitError, MemoryError):
    """An answer needs more memory than there is."""


class ModelError(QwenAgentKitError):
    """A checkpoint cannot be used."""


class ModelNotFoundError(ModelError):
    """A checkpoint is neither on disk nor downloadable."""


class ModelUnsupportedError(ModelError):
    """A checkpoint was found but cannot be loaded or asked for this here."""


class StoreError(QwenAgentKitError):
    """A vector store cannot be used."""


class StoreNotFoundError(StoreError):
    """A folder holds no store."""


class StoreMismatchError(StoreError, ValueError):
    """A store was made by another embedder or with another dimension."""


class StoreLockedError(StoreError):
    """Another process holds the store."""


class StoreWriteError(StoreError):
    """The store cannot be written: disk full, or a read-only folder."""


class LoadError(QwenAgentKitError, ValueError):
    """A document cannot be read."""


class MissingExtraError(QwenAgentKitError, ImportError):
    """An optional dependency is not installed."""
