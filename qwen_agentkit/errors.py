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
    ├── RetrievalError                   a search that a graph needs
    │   └── RetrievalTimeoutError (TimeoutError)      no answer in time
    ├── ServerError                      a model server
    │   ├── ServerUnreachableError (ConnectionError)  nothing answers there
    │   ├── ServerTimeoutError (TimeoutError)         silent for too long
    │   ├── ServerBusyError              overloaded or failing, after all retries
    │   │   └── ServerFailedError        failing at this, and perhaps at nothing else
    │   ├── ServerAccessError (PermissionError)       the key is missing or refused
    │   ├── ServerModelError             it does not serve this model
    │   ├── ServerRefusedError (ValueError)           it refused the request, with its reason
    │   │   └── ServerRouteError         it has no such route
    │   ├── ServerUnsupportedError       it cannot do, or did not do, what was asked
    │   └── ServerAnswerError            an answer that is cut off or no answer at all
    ├── AccessError (PermissionError)    nobody says which documents a user may read
    ├── WorkerError                      processes on a Ray cluster
    ├── LoadError (ValueError)           a document that cannot be read
    └── MissingExtraError (ImportError)  an optional dependency is not installed
"""

from __future__ import annotations

__all__ = [
    "AccessError",
    "InputError",
    "InputTooLongError",
    "LoadError",
    "MissingExtraError",
    "ModelError",
    "ModelNotFoundError",
    "ModelUnsupportedError",
    "OutOfMemoryError",
    "QwenAgentKitError",
    "RetrievalError",
    "RetrievalTimeoutError",
    "ServerAccessError",
    "ServerAnswerError",
    "ServerBusyError",
    "ServerError",
    "ServerFailedError",
    "ServerModelError",
    "ServerRefusedError",
    "ServerRouteError",
    "ServerTimeoutError",
    "ServerUnreachableError",
    "ServerUnsupportedError",
    "StoreError",
    "StoreLockedError",
    "StoreMismatchError",
    "StoreNotFoundError",
    "StoreWriteError",
    "WorkerError",
    "missing_extra",
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


class RetrievalError(QwenAgentKitError):
    """A search that a graph needs failed."""


class RetrievalTimeoutError(RetrievalError, TimeoutError):
    """A search gave no answer in the time that the settings allow."""


class ServerError(QwenAgentKitError):
    """A model server cannot be used."""


class ServerUnreachableError(ServerError, ConnectionError):
    """Nothing answers at the address."""


class ServerTimeoutError(ServerError, TimeoutError):
    """The server was silent for too long."""


class ServerBusyError(ServerError):
    """The server is overloaded or failing, and was so at every retry."""


class ServerFailedError(ServerBusyError):
    """The server failed at what was asked at every retry; it may do well at anything else."""


class ServerAccessError(ServerError, PermissionError):
    """The server wants another key, or one at all."""


class ServerModelError(ServerError):
    """The server does not have the model."""


class ServerRefusedError(ServerError, ValueError):
    """The server refused what was asked, and said why."""


class ServerRouteError(ServerRefusedError):
    """The server has no such route: it is of another kind, or at another address."""


class ServerUnsupportedError(ServerError):
    """The server cannot do what was asked, or did not do it."""


class ServerAnswerError(ServerError):
    """The answer is cut off, or is none."""


class AccessError(QwenAgentKitError, PermissionError):
    """Documents belong to groups, and nobody says which ones the user is in."""


class WorkerError(QwenAgentKitError):
    """Processes on a Ray cluster cannot be had, or fail again and again."""


class LoadError(QwenAgentKitError, ValueError):
    """A document cannot be read."""


class MissingExtraError(QwenAgentKitError, ImportError):
    """An optional dependency is not installed."""


def missing_extra(error: ModuleNotFoundError, package: str, extra: str) -> ImportError:
    """The error to raise instead: `error` itself when something else than `package` is missing."""
    if (error.name or "").split(".")[0] != package:
        return error
    return MissingExtraError(
        f"{package} is not installed; expected the extra {extra!r}. "
        f"Type: pip install 'qwen-agentkit[{extra}]'"
    )
