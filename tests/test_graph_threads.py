"""Threads for the work of graphs: used again, with the context of each caller, never in the way of exit."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
from concurrent.futures import wait

import pytest

from qwen_agentkit.graphs.shared import threads
from qwen_agentkit.graphs.shared.threads import start_in_thread

PERSON: contextvars.ContextVar[str] = contextvars.ContextVar("PERSON", default="nobody")


def thread_of(name: str) -> tuple[int, str]:
    number, seen = start_in_thread(
        lambda: (threading.get_ident(), threading.current_thread().name), name
    ).result(60)
    while number not in {one.ident for one in threading.enumerate() if "idle" in one.name}:
        pass  # it goes back within microseconds
    return number, seen


def test_a_thread_is_used_again_under_the_name_of_its_work() -> None:
    first, name = thread_of("one")
    assert name == "one"
    while not threads._idle:
        pass
    assert thread_of("two") == (first, "two")


def test_work_that_blocks_holds_up_no_other() -> None:
    go = threading.Event()
    blocked = [start_in_thread(lambda: go.wait(60), "blocked") for _ in range(20)]
    assert start_in_thread(lambda: "done", "free").result(60) == "done"
    go.set()
    assert all(future.result(60) for future in blocked)


def test_each_work_sees_its_caller_and_raises_its_own_error() -> None:
    seen = []
    for person in ("Aisha", "Wei"):
        PERSON.set(person)
        seen.append(start_in_thread(PERSON.get, "reads").result(60))
    assert seen == ["Aisha", "Wei"]
    with pytest.raises(ZeroDivisionError):
        start_in_thread(lambda: 1 // 0, "fails").result(60)
    assert start_in_thread(lambda: 1, "works").result(60) == 1


def test_threads_without_work_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_IDLE_SECONDS", 0.01)
    before = set(threading.enumerate())
    wait([start_in_thread(lambda: None, "short") for _ in range(5)])
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()
    assert start_in_thread(lambda: 1, "later").result(60) == 1


def test_idle_threads_do_not_delay_the_exit() -> None:
    code = """
from qwen_agentkit.graphs.shared import threads
threads._EXIT_SECONDS = 600
print(threads.start_in_thread(lambda: 5, "some").result())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr
