"""A disk of a few megabytes that can be full or read-only: a tmpfs, which needs root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BLOCK = 4096


class SmallDisk:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.ballast = path / "ballast"

    def free(self) -> int:
        state = os.statvfs(self.path)
        return state.f_bavail * state.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Until only so many bytes are free."""
        with self.ballast.open("ab") as file:
            while self.free() > leave + BLOCK:
                file.write(bytes(min(self.free() - leave, 1 << 20) // BLOCK * BLOCK))
                file.flush()

    def clear(self) -> None:
        self.ballast.unlink(missing_ok=True)

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.path)], check=True, timeout=10)


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[SmallDisk]:
    path.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "punctual-test", str(path)]
    mounted = subprocess.run(line, check=False, capture_output=True, text=True, timeout=10)
    if mounted.returncode != 0:
        pytest.skip(f"a tmpfs of its own needs root: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True, timeout=10)
