"""The threads that run models. Knows devices and cores, no models.

The thread model of the package:

- A caller's thread (the main thread, a LangChain pool, a worker of a web server) prepares inputs and waits.
  It runs no operation of a model.
- Each device ("cpu", "cuda:0") has one daemon thread, started by the first job. `run_on_device` puts a job
  into its queue and waits for the result. Jobs for one device run one at a time, in the order they came.
- `spread_over_cores` splits a job for the CPU over worker threads that use one core each. The workers start
  once and live as long as the process.

The reason: torch runs an operation on a CPU with a team of OpenMP threads, and each calling thread has a team
of its own. When the teams of a process have more threads than there are CPUs, GNU OpenMP puts idle threads to
sleep after every operation, and a step of many small operations takes 1.3 to 1.5 times as long. One computing
thread means one team. Workers of one core each need no team: they wait for each other once per forward, not
after every operation.

A job sees the context variables and the number of torch threads of its caller. Its error is raised in the
caller. If the caller is interrupted (Ctrl-C) while it waits, the job ends at its next `raise_if_cancelled`,
and the interrupt is raised after that. A forked process starts threads of its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar, cast

import torch

__all__ = ["raise_if_cancelled", "run_on_device", "run_on_one_core", "spread_over_cores"]

T = TypeVar("T")


class _Cancelled(BaseException):
    """Ends a job whose caller was interrupted."""


class _Job:
    """A function to run for a caller, and its outcome."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.context = copy_context()
        self.cores = torch.get_num_threads()  # a setting of the calling thread
        self.cancelled = False
        self.result: Any = None
        self.error: BaseException | None = None
        # A plain lock, because an interrupt can leave the lock inside an Event acquired.
        self._unfinished = threading.Lock()
        self._unfinished.acquire()

    def wait(self) -> None:
        self._unfinished.acquire()

    def run(self) -> None:
        if torch.get_num_threads() != self.cores:
            torch.set_num_threads(self.cores)
        _current.job = self
        try:
            raise_if_cancelled()
            self.result = self.context.run(self.function)
        except BaseException as error:  # raised in the thread that waits
            self.error = error
        finally:
            _current.job = None
            self._unfinished.release()


_current = threading.local()  # the device and the job of a computing thread
_queues: dict[str, SimpleQueue[_Job]] = {}
_workers: dict[int, ThreadPoolExecutor] = {}  # by the number of cores
_starting = threading.Lock()


def run_on_device(device: torch.device | str, function: Callable[[], T]) -> T:
    """Run a function in the thread of a device and return its result.

    A call from inside a job for the same device runs at once. An interrupt is raised only after the job has
    ended: nothing goes on unseen.

    Raises:
        BaseException: Whatever `function` raises.
    """
    name = str(device)
    if getattr(_current, "device", None) == name:
        return function()
    queue = _queue_of(name)
    job = _Job(function)
    try:
        queue.put(job)
        job.wait()
    except BaseException:
        job.cancelled = True
        marker = _Job(int)
        queue.put(marker)
        marker.wait()  # when it runs, the job before it has ended, if it ever began
        raise
    if job.error:
        try:
            raise job.error
        finally:
            del job  # it holds the error, which holds this frame
    result: T = job.result
    return result


def spread_over_cores(functions: Sequence[Callable[[], T]]) -> list[T]:
    """Run functions side by side, on one core each, and return their results in order.

    Call it in the thread of a CPU. The first error is raised after all of them have ended.
    """
    cores = torch.get_num_threads()
    if cores == 1 or len(functions) == 1:
        return [function() for function in functions]
    job, failed = getattr(_current, "job", None), threading.Event()

    def run(function: Callable[[], T]) -> T | None:
        if failed.is_set():
            return None
        try:
            return _run_part(function, job)
        except BaseException:
            failed.set()
            raise

    futures = [_workers_for(cores).submit(run, function) for function in functions]
    errors = [error for future in futures if (error := future.exception())]
    if errors:
        try:
            raise errors[0]
        finally:
            del errors, futures  # they hold the error, which holds this frame
    return [cast(T, future.result()) for future in futures]


def run_on_one_core(function: Callable[[], T]) -> T:
    """Run a function on one core of the CPU and return its result.

    For measuring time: threads of a team wait for each other, so on a busy machine an operation on all cores
    was seen to take a hundred times as long as on an idle one.
    """

    def run() -> T:
        cores = torch.get_num_threads()
        if cores == 1:
            return function()
        return _workers_for(cores).submit(_run_part, function, getattr(_current, "job", None)).result()

    return run_on_device("cpu", run)


def raise_if_cancelled() -> None:
    """End the current job if its caller was interrupted; long jobs call this now and then."""
    job = getattr(_current, "job", None)
    if job and job.cancelled:
        raise _Cancelled


def _run_part(function: Callable[[], T], job: _Job | None) -> T:
    """Run a part of a job in a worker."""
    _current.device, _current.job = "cpu", job
    try:
        return function()
    finally:
        _current.job = None


def _workers_for(cores: int) -> ThreadPoolExecutor:
    """Return as many workers as there are cores, each of which uses one."""
    if cores not in _workers:
        all_started = threading.Barrier(cores + 1)

        def use_one_core() -> None:
            torch.get_num_threads()  # the first call in a thread resets what was set before it
            torch.set_num_threads(1)
            all_started.wait()

        _workers[cores] = ThreadPoolExecutor(cores, "qwen-agentkit core", initializer=use_one_core)
        for _ in range(cores):
            _workers[cores].submit(int)
        all_started.wait()
        # The number that a thread sets is also the default of threads that start later.
        torch.set_num_threads(cores)
    return _workers[cores]


def _queue_of(device: str) -> SimpleQueue[_Job]:
    """Return the queue of a device's thread; the first call starts the thread."""
    if device not in _queues:
        with _starting:
            if device not in _queues:
                queue: SimpleQueue[_Job] = SimpleQueue()
                arguments = (device, queue)
                threading.Thread(
                    target=_run_jobs, args=arguments, name=f"qwen-agentkit {device}", daemon=True
                ).start()
                _queues[device] = queue
    return _queues[device]


def _run_jobs(device: str, queue: SimpleQueue[_Job]) -> None:
    _current.device = device
    while True:
        job = queue.get()
        job.run()
        del job  # frees what it holds while this thread waits for the next


def _forget_threads() -> None:
    """Start anew in a forked process, which has no threads of its parent."""
    global _starting
    _queues.clear()
    _workers.clear()
    _starting = threading.Lock()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_threads)
