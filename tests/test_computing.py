"""The thread that computes for all callers."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest
import torch

from qwen_agentkit.engine.computing import compute, stop_if_unwanted


def test_all_callers_share_one_thread_that_is_not_theirs() -> None:
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: compute("cpu", threading.get_ident), range(100)))
    assert len(names) == 1
    assert threading.get_ident() not in names
    assert compute("another", threading.get_ident) not in names


def test_work_is_never_side_by_side_and_none_is_lost() -> None:
    inside, most = 0, 0

    def work(number: int) -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.0005)
        inside -= 1
        return number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: compute("cpu", lambda: work(n)), range(100))) == list(range(100))
    assert most == 1


def test_errors_come_to_who_asked_and_the_thread_goes_on() -> None:
    with pytest.raises(ZeroDivisionError):
        compute("cpu", lambda: 1 // 0)
    assert compute("cpu", lambda: 3) == 3


def test_work_inside_of_work_runs_at_once() -> None:
    assert compute("cpu", lambda: compute("cpu", lambda: 5)) == 5


def test_settings_of_who_asks_count() -> None:
    language, before = ContextVar("language", default="en"), torch.get_num_threads()
    language.set("ar")
    try:
        for cores in (1, 2, 1):
            torch.set_num_threads(cores)
            assert compute("cpu", torch.get_num_threads) == cores
    finally:
        torch.set_num_threads(before)
    assert compute("cpu", language.get) == "ar"


def test_an_interrupt_ends_the_work_before_it_is_raised() -> None:
    ended = threading.Event()
    # A shell starts what runs in the background with interrupts ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def endless() -> None:
        main = threading.main_thread().ident
        assert main
        time.sleep(0.3)  # a signal is seen by a thread that waits, not by one that is about to
        signal.pthread_kill(main, signal.SIGINT)
        try:
            while True:
                stop_if_unwanted()
                time.sleep(0.001)
        finally:
            ended.set()

    try:
        with pytest.raises(KeyboardInterrupt):
            compute("cpu", endless)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.is_set()
    assert compute("cpu", lambda: 1) == 1


_ONE_TEAM = """
import os
import torch
from langchain_core.documents import Document
from qwen_agentkit import ChatQwen, QwenEmbeddings, QwenReranker

torch.set_num_threads(2)
QwenEmbeddings(model="nano").embed_documents(["The boat leaves at nine. " * 40] * 3)
QwenReranker(model="nano").compress_documents([Document("The boat leaves at nine.")] * 3, "When?")
ChatQwen(model="nano", max_tokens=8).invoke("When does the boat leave?")

def threads():
    return len(os.listdir("/proc/self/task"))

before = threads()
torch.ones(2**20).add_(1)  # the first in this thread that needs workers
print(threads() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
def test_nothing_has_workers_in_the_thread_of_the_caller() -> None:
    """A second team of workers would slow every later step: importing, loading and calling start none."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _ONE_TEAM], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.split()[-1] == "1"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_gets_a_thread_of_its_own() -> None:
    compute("cpu", lambda: 1)
    child = multiprocessing.get_context("fork").Process(target=compute, args=("cpu", lambda: 2))
    child.start()
    child.join(10)
    code = child.exitcode
    child.kill()
    assert code == 0
