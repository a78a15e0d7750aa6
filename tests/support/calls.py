"""Makes calls of a server fail: which one, of which threads, the how many-th, once or from then on, and with what.

The other side of tests/faults/preload/strike.h, whose layout of the plan this knows. A plan may be given before
the server starts or while it runs; processes that it forks follow it, too.
"""

import contextlib
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.server import binary

SIZE = 104
ARMED, SEEN, STRUCK, NTH = 0, 8, 16, 24


@dataclass(frozen=True)
class Strike:
    call: str
    error: int  # errno, or what the call itself returns
    who: str = ""  # how the name of the thread begins; "": whoever
    nth: int = 1
    forever: bool = False
    least: int = 0  # bytes, of an allocation


class Calls:
    def __init__(self, folder: Path, library: str = "libcalls.so") -> None:
        self.path = folder / "calls.plan"
        self.path.write_bytes(bytes(SIZE))
        self.library = binary().parent / library
        assert self.library.exists(), f"there is no {self.library}: build with tools/build asan"
        with self.path.open("r+b") as file:
            self.plan = mmap.mmap(file.fileno(), SIZE)

    def environment(self) -> dict[str, str]:
        inherited = os.environ.get("ASAN_OPTIONS", "")
        return {
            "LD_PRELOAD": str(self.library),
            "CALLS_CONTROL": str(self.path),
            "ASAN_OPTIONS": ":".join(filter(None, [inherited, "verify_asan_link_order=0"])),
        }

    def arm(self, strike: Strike) -> None:
        self.disarm()
        head = (0, 0, strike.nth, strike.forever, strike.error, strike.least)
        texts = (strike.call.encode(), strike.who.encode())
        self.plan[SEEN:SIZE] = struct.pack("<6q24s24s", *head, *texts)
        self.plan[ARMED:SEEN] = struct.pack("<q", 1)

    def disarm(self) -> None:
        self.plan[ARMED:SEEN] = struct.pack("<q", 0)

    @property
    def seen(self) -> int:
        """Calls that were meant since the plan was armed."""
        return struct.unpack("<q", self.plan[SEEN:STRUCK])[0]

    @property
    def struck(self) -> int:
        """Of them, those that failed."""
        return struct.unpack("<q", self.plan[STRUCK:NTH])[0]

    @contextlib.contextmanager
    def failing(self, strike: Strike) -> Iterator[None]:
        self.arm(strike)
        try:
            yield
        finally:
            self.disarm()
