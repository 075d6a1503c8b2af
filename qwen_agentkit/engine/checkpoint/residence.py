"""How long models stay in memory: who uses one, when it may go, and what all of them share.

Knows threads and bytes, no models and no torch. The model classes of this package each have a `Residence`; a
checkpoint is freed when none of them holds it any more.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakSet

from qwen_agentkit.errors import InputError, ModelInUseError

__all__ = ["MEMORY", "Residence", "chosen_budget", "make_room"]

MEMORY = "QWEN_AGENTKIT_MEMORY"
"""Environment variable: most gigabytes of weights in memory at the same time."""

_all: WeakSet[Residence] = WeakSet()
_listing = threading.Lock()


class Residence:
    """Counts the calls that use a model, and lets go of it.

    Args:
        drop: Lets go of the weights. It must hold no reference to what owns this object.
    """

    def __init__(self, drop: Callable[[], None]) -> None:
        self._drop = drop
        self._users = 0
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._kept = False
        self.last_used = 0.0
        with _listing:
            _all.add(self)

    @contextmanager
    def use(self, keep_alive: float | None = None) -> Iterator[None]:
        """Keep the model in memory during a call, and for some seconds after the last one.

        Args:
            keep_alive: Seconds; None for as long as its owner lives.
        """
        with self._lock:
            self._users += 1
            self._kept = True
            self._cancel_timer()
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                self.last_used = time.monotonic()
                if not self._users and keep_alive is not None:
                    self._let_go_in(keep_alive)

    def unload(self) -> None:
        """Let go of the weights; without any, nothing happens.

        Raises:
            ModelInUseError: A call uses them.
        """
        if not self.try_unload():
            raise ModelInUseError(
                f"{self._users} calls use the model. Expected none: end them, or close their streams, and "
                "unload it then."
            )

    def try_unload(self) -> bool:
        """Let go of the weights if no call uses them; returns whether they are gone."""
        with self._lock:
            if self._users:
                return False
            self._cancel_timer()
            kept, self._kept = self._kept, False
            self._drop()
        if kept:
            _give_back_memory()
        return True

    @property
    def is_idle(self) -> bool:
        """Whether it holds weights that no call uses."""
        return self._kept and not self._users

    def _let_go_in(self, seconds: float) -> None:
        if not seconds:
            self.try_unload()
            return
        self._timer = threading.Timer(seconds, self.try_unload)
        self._timer.daemon = True
        self._timer.start()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _give_back_memory() -> None:
    """Return freed memory to the system, which torch and glibc would keep for later."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def chosen_budget() -> int | None:
    """Return the bytes of weights that the environment allows; None if it does not say.

    Raises:
        InputError: It says something else than a number of gigabytes.
    """
    text = os.environ.get(MEMORY, "")
    if not text:
        return None
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = 0.0
    if not gigabytes > 0:
        raise InputError(f"{MEMORY}={text!r}; expected a number of gigabytes, such as {MEMORY}=8.")
    return int(gigabytes * 1e9)


def make_room(fits: Callable[[], bool]) -> bool:
    """Let go of idle models, those used longest ago first, until there is room; returns whether there is.

    Args:
        fits: Whether there is.
    """
    with _listing:
        idle = sorted((one for one in _all if one.is_idle), key=lambda one: one.last_used)
    for one in idle:
        if fits():
            return True
        one.try_unload()
    return fits()
