"""What a test that kills things says of its checks, and what it leaves behind."""

import shutil
import time
from pathlib import Path

SHOWN = 8  # violations of one promise that are printed


class Report:
    """Prints one line for each check and counts."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self.began = time.monotonic()

    def check(self, name: str, faults: list[str]) -> None:
        if not faults:
            self.passed += 1
            print(f"  ok      {name}", flush=True)
            return
        self.failed += 1
        print(f"  FAILED  {name}: {len(faults)}", flush=True)
        for fault in faults[:SHOWN]:
            print(f"            {fault}", flush=True)

    def conclude(self, folder: Path | None = None) -> int:
        """The counts, and the exit code. A folder of logs is removed where all is well."""
        if folder:
            print(f"  took {time.monotonic() - self.began:.0f} s")
        if folder and self.failed:
            print(f"  logs and store are kept in {folder}")
        elif folder:
            shutil.rmtree(folder)
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0
