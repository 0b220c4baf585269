"""A real small disk that can be full or read-only, where the test may mount one."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Disk:
    """A mounted file system of its own."""

    folder: Path

    def fill(self, leave_bytes: int = 0) -> None:
        """Use up all room but so much."""
        with (self.folder / "filler").open("ab", buffering=0) as file:
            try:
                while file.write(b"\0" * 4096) == 4096:
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
            size = file.tell()
            file.truncate(max(0, size - leave_bytes))

    def empty(self) -> None:
        """Give the room back."""
        (self.folder / "filler").unlink()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Take writes away for a while."""
        _mount("-o", "remount,ro", str(self.folder))
        try:
            yield
        finally:
            _mount("-o", "remount,rw", str(self.folder))


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Disk]:
    """Mount a disk in memory; skips the test where that is not allowed."""
    folder.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={size}", "earshot-test", str(folder))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a file system here")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)
