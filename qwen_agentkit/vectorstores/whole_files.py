"""Files that are complete or absent: written under another name, and renamed at the end."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qwen_agentkit.errors import StoreWriteError

__all__ = ["written_whole"]


@contextmanager
def written_whole(file: Path) -> Iterator[Path]:
    """Yield a new file that takes the place of `file` when the block ends without an error.

    A link is followed. A device such as /dev/stdout is refused, since renaming would replace it.

    Raises:
        StoreWriteError: The file cannot be written, or is no regular file.
    """
    place = Path(os.path.realpath(file))
    if place.exists() and not place.is_file():
        raise _refuse(file, "it is a folder or a device")
    temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(place)
    except OSError as error:
        raise _refuse(file, error.strerror or str(error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _refuse(file: Path, reason: str) -> StoreWriteError:
    return StoreWriteError(
        f"{str(file)!r} cannot be written ({reason}); expected a file in a writable folder with free space. "
        "Choose another place."
    )
