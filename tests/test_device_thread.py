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
from functools import partial

import pytest
import torch

from qwen_agentkit.engine.device_thread import raise_if_cancelled, run_on_device, spread_over_cores


def test_all_callers_share_one_thread_that_is_not_theirs() -> None:
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: run_on_device("cpu", threading.get_ident), range(100)))
    assert len(names) == 1
    assert threading.get_ident() not in names
    assert run_on_device("another", threading.get_ident) not in names


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
        assert list(pool.map(lambda n: run_on_device("cpu", lambda: work(n)), range(100))) == list(range(100))
    assert most == 1


def test_errors_come_to_who_asked_and_the_thread_goes_on() -> None:
    with pytest.raises(ZeroDivisionError):
        run_on_device("cpu", lambda: 1 // 0)
    assert run_on_device("cpu", lambda: 3) == 3


def test_work_inside_of_work_runs_at_once() -> None:
    assert run_on_device("cpu", lambda: run_on_device("cpu", lambda: 5)) == 5


def test_settings_of_who_asks_count() -> None:
    language, before = ContextVar("language", default="en"), torch.get_num_threads()
    language.set("ar")
    try:
        for cores in (1, 2, 1):
            torch.set_num_threads(cores)
            assert run_on_device("cpu", torch.get_num_threads) == cores
    finally:
        torch.set_num_threads(before)
    assert run_on_device("cpu", language.get) == "ar"


def test_parts_run_side_by_side_on_one_core_each_and_come_back_in_order(two_cores) -> None:
    meeting = threading.Barrier(2)

    def part(number: int) -> tuple[int, int]:
        meeting.wait(10)  # breaks if they are not there together
        return number, torch.get_num_threads()

    found = run_on_device("cpu", lambda: spread_over_cores([partial(part, number) for number in range(6)]))
    assert found == [(number, 1) for number in range(6)]


def test_spreading_changes_the_threads_of_nobody_else(two_cores) -> None:
    found = run_on_device(
        "cpu", lambda: [spread_over_cores([torch.get_num_threads] * 2), torch.get_num_threads()]
    )
    assert found == [[1, 1], 2]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 2


def test_parts_may_ask_for_what_their_device_computes(two_cores) -> None:
    assert run_on_device("cpu", lambda: spread_over_cores([lambda: run_on_device("cpu", lambda: 5)] * 2)) == [
        5,
        5,
    ]


def test_an_error_of_a_part_is_raised_when_none_runs_any_more(two_cores) -> None:
    ended = []

    def part(number: int) -> None:
        if number == 0:
            raise ZeroDivisionError
        time.sleep(0.1)
        ended.append(number)

    with pytest.raises(ZeroDivisionError):
        run_on_device("cpu", lambda: spread_over_cores([partial(part, number) for number in range(50)]))
    seen = list(ended)
    time.sleep(0.3)
    assert ended == seen
    assert len(seen) <= 2
    assert run_on_device("cpu", lambda: spread_over_cores([lambda: 1] * 3)) == [1, 1, 1]


def test_an_interrupt_ends_every_part(two_cores) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _INTERRUPTED],
        capture_output=True,
        encoding="utf-8",
        timeout=600,  # importing torch takes a minute on a busy machine
    )
    assert done.stdout.split() == ["ended", "ended", "interrupted"], done.stderr


_INTERRUPTED = """
import os, signal, threading, time
import torch
from qwen_agentkit.engine.device_thread import raise_if_cancelled, run_on_device, spread_over_cores

torch.set_num_threads(2)
signal.signal(signal.SIGINT, signal.default_int_handler)

def part():
    try:
        while True:
            raise_if_cancelled()
            time.sleep(0.001)
    finally:
        os.write(1, b"ended ")  # in one piece: two threads print at once

threading.Timer(0.5, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
try:
    run_on_device("cpu", lambda: spread_over_cores([part, part]))
except KeyboardInterrupt:
    print("interrupted")
"""


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
                raise_if_cancelled()
                time.sleep(0.001)
        finally:
            ended.set()

    try:
        with pytest.raises(KeyboardInterrupt):
            run_on_device("cpu", endless)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.is_set()
    assert run_on_device("cpu", lambda: 1) == 1


_ONE_TEAM = """
import os
import torch
from langchain_core.documents import Document
from qwen_agentkit import ChatQwen, QwenEmbeddings, QwenReranker
from qwen_agentkit.engine.weights.quantize import cpu_quantizations

torch.set_num_threads(2)
for quantize in (None, *cpu_quantizations()):
    if quantize != "int4":
        embeddings = QwenEmbeddings(model="nano", quantize=quantize)
        embeddings.embed_documents(["The boat leaves at nine. " * 40] * 3)
        reranker = QwenReranker(model="nano")
        reranker.compress_documents([Document("The boat leaves at nine.")] * 3, "When?")
    ChatQwen(model="nano", max_tokens=8, quantize=quantize).invoke("When does the boat leave?")

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
    run_on_device("cpu", lambda: 1)
    child = multiprocessing.get_context("fork").Process(target=run_on_device, args=("cpu", lambda: 2))
    child.start()
    child.join(10)
    code = child.exitcode
    child.kill()
    assert code == 0
