"""The process that reads files for `workers`: a line of input asks, a line of output answers.

Knows readers, no store and no model, so that it starts quickly. Speaks JSON: nothing that a
file holds can run.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qwen_agentkit.ingest.ocr import Ocr
from qwen_agentkit.ingest.reading import Failure, read_file

__all__ = ["main"]


def main() -> None:
    """Answer requests until standard input ends. The argument is the limit of memory in bytes."""
    with os.fdopen(os.dup(1), "wb") as answers:
        # What a library prints must not stand among the answers.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _limit_memory(int(sys.argv[1]))
        for line in sys.stdin.buffer:
            answer = json.dumps(_answer(json.loads(line)), ensure_ascii=False)
            answers.write(answer.encode("utf-8", "surrogatepass") + b"\n")
            answers.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        ocr = Ocr(**request["ocr"]) if request["ocr"] else None
        read = read_file(
            Path(request["path"]), request["suffix"], request["version"], ocr, request["encoding"]
        )
    except MemoryError:
        return {"reason": "", "passing": False, "expected": False}
    if isinstance(read, Failure):
        return asdict(read)
    return {"parts": read.parts, "hash": read.hash}


def _limit_memory(size: int) -> None:
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    # A lower limit that is set already stays.
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or size < hard:
        resource.setrlimit(resource.RLIMIT_AS, (size, hard))


if __name__ == "__main__":
    main()
