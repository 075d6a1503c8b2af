"""All errors that this package raises on purpose.

Each message says what was wrong, what was expected, and what to do.

::

    QwenAgentKitError
    ├── InputError (ValueError)          a value that the caller passed
    │   └── InputTooLongError            a text that does not fit the context
    ├── ModelError                       a checkpoint
    │   ├── ModelNotFoundError           not on disk and not downloadable
    │   ├── ModelUnsupportedError        found, but it cannot run here
    │   ├── AnswerFaultError (ValueError)             an answer that does not fit its schema
    │   └── ModelInUseError              calls use a model that is to be unloaded
    ├── OutOfMemoryError (MemoryError)   an answer needs more memory than is free
    ├── StoreError                       a vector store
    │   ├── StoreNotFoundError           the folder holds no store
    │   ├── StoreMismatchError           made by another embedder or with another dimension
    │   ├── StoreLockedError             in use by another process
    │   └── StoreWriteError              disk full or read-only
    ├── RetrievalError                   a search that a graph needs
    │   └── RetrievalTimeoutError (TimeoutError)      no result in time
    ├── ServerError                      a model server
    │   ├── ServerUnreachableError (ConnectionError)  nothing answers at the address
    │   ├── ServerTimeoutError (TimeoutError)         no answer in time
    │   ├── ServerBusyError              overloaded or failing at every retry
    │   │   └── ServerFailedError        this request fails at every retry
    │   ├── ServerAccessError (PermissionError)       the key is missing or refused
    │   ├── ServerModelError             it does not have the model
    │   ├── ServerRefusedError (ValueError)           it refused the request and gave a reason
    │   │   └── ServerRouteError         it has no such route
    │   ├── ServerUnsupportedError       it cannot do what was asked, or did not do it
    │   └── ServerAnswerError            its response was truncated or empty
    ├── AccessError (PermissionError)    the groups of the user are unknown
    ├── ToolServerError                  an MCP server
    ├── WorkerError                      workers on a Ray cluster
    ├── LoadError (ValueError)           a document that cannot be read
    └── MissingExtraError (ImportError)  an optional dependency is not installed
"""

from __future__ import annotations

__all__ = [
    "AccessError",
    "AnswerFaultError",
    "InputError",
    "InputTooLongError",
    "LoadError",
    "MissingExtraError",
    "ModelError",
    "ModelInUseError",
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
    "ToolServerError",
    "WorkerError",
    "missing_extra",
    "too_old",
]


class QwenAgentKitError(Exception):
    """Base of all errors of this package."""


class InputError(QwenAgentKitError, ValueError):
    """A value that the caller passed is not valid."""


class InputTooLongError(InputError):
    """A text is longer than the context of the model."""


class OutOfMemoryError(QwenAgentKitError, MemoryError):
    """An answer needs more memory than is free."""


class ModelError(QwenAgentKitError):
    """A checkpoint cannot be used."""


class ModelNotFoundError(ModelError):
    """A checkpoint is not on disk and not downloadable."""


class ModelUnsupportedError(ModelError):
    """A checkpoint was found, but it cannot be loaded here or cannot do what was asked."""


class AnswerFaultError(ModelError, ValueError):
    """An answer does not fit a part of its schema that no grammar can hold."""


class ModelInUseError(ModelError):
    """A model is to be unloaded while calls use it."""


class StoreError(QwenAgentKitError):
    """A vector store cannot be used."""


class StoreNotFoundError(StoreError):
    """The folder contains no store."""


class StoreMismatchError(StoreError, ValueError):
    """A store was made by another embedder or with another dimension."""


class StoreLockedError(StoreError):
    """Another process uses the store."""


class StoreWriteError(StoreError):
    """The store cannot be written: the disk is full or the folder is read-only."""


class RetrievalError(QwenAgentKitError):
    """A search of a graph failed."""


class RetrievalTimeoutError(RetrievalError, TimeoutError):
    """A search took longer than the settings allow."""


class ServerError(QwenAgentKitError):
    """A model server cannot be used."""


class ServerUnreachableError(ServerError, ConnectionError):
    """Nothing answers at the address."""


class ServerTimeoutError(ServerError, TimeoutError):
    """The server was no answer in time."""


class ServerBusyError(ServerError):
    """The server was overloaded or failed at every retry."""


class ServerFailedError(ServerBusyError):
    """The server failed at this request at every retry. Other requests may work."""


class ServerAccessError(ServerError, PermissionError):
    """The API key is missing or was refused."""


class ServerModelError(ServerError):
    """The server does not have the model."""


class ServerRefusedError(ServerError, ValueError):
    """The server refused the request and gave a reason."""


class ServerRouteError(ServerRefusedError):
    """The server does not have the route. It is of another kind, or its API is at another address."""


class ServerUnsupportedError(ServerError):
    """The server cannot do what was asked, or did not do it."""


class ServerAnswerError(ServerError):
    """The response of the server was truncated or empty."""


class AccessError(QwenAgentKitError, PermissionError):
    """Documents belong to groups, and the groups of the user are unknown."""


class ToolServerError(QwenAgentKitError):
    """An MCP server does not start, does not answer in time, or does not speak MCP."""


class WorkerError(QwenAgentKitError):
    """Workers on a Ray cluster cannot be started, or keep failing."""


class LoadError(QwenAgentKitError, ValueError):
    """A document cannot be read."""


class MissingExtraError(QwenAgentKitError, ImportError):
    """An optional dependency is not installed."""


def missing_extra(error: ModuleNotFoundError, package: str, extra: str) -> ImportError:
    """Return the error to raise for a missing package that an extra installs.

    Args:
        error: The import error that was caught.
        package: The import name of the package that the extra installs.
        extra: The name of the extra.

    Returns:
        A `MissingExtraError`, or `error` itself if another package is missing.
    """
    if (error.name or "").split(".")[0] != package:
        return error
    return MissingExtraError(
        f"{package} is not installed; expected the extra {extra!r}. "
        f"Type: pip install 'qwen-agentkit[{extra}]'"
    )


def too_old(error: ModuleNotFoundError, module: str, requirement: str) -> ImportError:
    """Return the error to raise for a module that only newer versions of a dependency have.

    Args:
        error: The import error that was caught.
        module: The module.
        requirement: What to install, such as "langchain-core>=1.8".

    Returns:
        An import error that says so, or `error` itself if another module is missing.
    """
    if error.name != module:
        return error
    return MissingExtraError(
        f"{module} is not installed; expected {requirement}. Type: pip install '{requirement}'"
    )
