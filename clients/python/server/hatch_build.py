"""Marks the wheel as one for this machine's kind of system; refuses to make one without a program in it."""

import platform
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROGRAM = "src/punctual_server/bin/punctual"


class ProgramHook(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling before it packs the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """The tag says Linux alone; auditwheel, which looks into the program, says later with which glibc."""
        if not (Path(self.root) / PROGRAM).is_file():
            raise RuntimeError(
                f"{PROGRAM} is not there: build this wheel with `make wheels`, which puts it in"
            )
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-linux_{platform.machine()}"
