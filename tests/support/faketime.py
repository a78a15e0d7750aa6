"""A server whose wall clock can be set, by libfaketime. The steady clock goes on as it is.

What this cannot show: that the kernel cancels a timer when the clock is set (TFD_TIMER_CANCEL_ON_SET), since
only the process's view is moved. The server looks once a second as well, and that is what is seen here.
"""

from pathlib import Path

import pytest

LIBRARIES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
)


class WallClock:
    def __init__(self, folder: Path) -> None:
        found = [path for pattern in LIBRARIES for path in sorted(Path("/").glob(pattern[1:]))]
        if not found:
            pytest.skip("libfaketime is not there: tools/setup test installs it")
        self.library, self.file = found[0], folder / "faketime"
        self.offset = 0.0
        self.set(0)

    def set(self, offset: float) -> None:
        """The wall clock is so many seconds ahead of the real one (or behind)."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{offset:+.3f}\n")
        new.replace(self.file)
        self.offset = offset

    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0",
        }
