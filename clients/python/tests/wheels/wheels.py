"""Installs the wheels as a user would, in clean virtual environments, and tries what they promise.

    python clients/python/tests/wheels/wheels.py build/wheels

`bare` is the client alone, `full` the client with all its extras and the server. Other packages are those
of tests/requirements.lock, from the package index that pip is configured for. Prints a line for each check,
and in the end "N passed, N failed".
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
sys.path[:0] = [str(HERE.parent), str(ROOT / "tests")]

from pages import run_page

LIMIT_S = 600
EXTRAS = "fastapi,sqlalchemy,test,worker"
# What a system with glibc has, by the rules for manylinux wheels.
SYSTEM = re.compile(r"(libc|libm|libresolv|libz|libdl|libpthread|librt)\.so|ld-linux|linux-vdso")

IMPORT_ALL = """
import importlib, pkgutil, punctual
for module in pkgutil.walk_packages(punctual.__path__, "punctual."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert all(hasattr(punctual, name) for name in punctual.__all__)
"""

IMPORT_BARE = """
import sys, punctual, punctual.server, punctual.worker.main
assert all(hasattr(punctual, name) for name in punctual.__all__)
heavy = {"fastapi", "starlette", "pydantic", "sqlalchemy", "pytest"} & sys.modules.keys()
assert not heavy, heavy
"""

TYPED = """
from punctual import Punctual, PunctualApp, Retry, Run

def ask(punctual: Punctual) -> str:
    run = punctual.create_run("nightly-invoices", payload={"kind": "monthly"}, delay="10m")
    return run.id

def refuse(run: Run) -> None:
    raise Retry("not now", after="30s")
"""
WRONGLY_TYPED = """
from punctual import Punctual

number: int = Punctual().create_run("nightly-invoices").id
"""

A_SERVER = """
from pathlib import Path
from punctual import Punctual
from punctual.server import LocalServer, find_server
import punctual_server
assert find_server() == punctual_server.find_punctual_bin()
with LocalServer() as server, Punctual(server.url, api_key="") as client:
    assert client.ready().ok
"""

# The libraries are covered by an empty file in a mount namespace of our own: none comes from the system.
HIDDEN = 'for file in $HIDE; do mount --bind /dev/null "$file"; done; exec "$@"'


class Failed(Exception):
    """A check did not hold; the message is what was seen."""


def call(*line: str | Path, env: dict[str, str] | None = None, folder: Path | None = None) -> str:
    """The output of a program that must succeed. Without PYTHON... and PUNCTUAL... of this environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PUNCTUAL", "PYTHON"))}
    done = subprocess.run(
        [str(word) for word in line],
        cwd=folder,
        env={**kept, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(f"{line[0]} ended with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def expect(right: bool, words: object) -> None:
    if not right:
        raise Failed(str(words))


class Wheels:
    """The two wheels and the environments they are installed in."""

    def __init__(self, folder: Path, work: Path) -> None:
        (self.client,) = folder.glob("punctual-*.whl")
        (self.server,) = folder.glob("punctual_server-*.whl")
        self.work = work
        self.bare, self.full = work / "bare", work / "full"
        self.empty = work / "empty"  # where commands run: nothing of the repository is beside them
        self.empty.mkdir()

    # --- what is in them ---

    def client_has_what_it_should(self) -> None:
        with zipfile.ZipFile(self.client) as wheel:
            names = wheel.namelist()
            metadata = wheel.read(next(name for name in names if name.endswith("/METADATA"))).decode()
        expect("punctual/py.typed" in names, "py.typed is not in the wheel")
        expect(any(name.endswith("/licenses/LICENSE") for name in names), "LICENSE is not in the wheel")
        expect(not [name for name in names if not name.startswith("punctual")], names)
        extras = set(re.findall(r"^Provides-Extra: (.*)$", metadata, re.MULTILINE))
        expect(extras == set(EXTRAS.split(",")), f"extras: {extras}")
        expect("Requires-Python: >=3.10" in metadata, metadata)

    def server_has_a_licence_for_each_library(self) -> None:
        with zipfile.ZipFile(self.server) as wheel:
            names = wheel.namelist()
            listed = wheel.read(next(name for name in names if name.endswith("LIBRARIES.txt"))).decode()
            bill = json.loads(
                wheel.read(next(name for name in names if name.endswith("auditwheel.cdx.json")))
            )
        expect("manylinux_2_34" in self.server.name, self.server.name)
        packages = {part["name"] for part in bill["components"]} - {"punctual_server"}
        expect(len(packages) > 20, packages)
        for package in packages:
            expect(
                re.search(rf"^{re.escape(package)} ", listed, re.MULTILINE) is not None,
                f"{package} is not listed",
            )
            expect(any(name.endswith(f"/{package}.txt") for name in names), f"no licence of {package}")

    # --- installing ---

    def install(self, place: Path, *wheels: str) -> None:
        call(sys.executable, "-m", "venv", place)
        lock = (ROOT / "tests" / "requirements.lock").read_text()
        versions = self.work / "versions.txt"
        versions.write_text("\n".join(re.findall(r"^[\w.-]+==[\w.]+", lock, re.MULTILINE)))
        call(place / "bin" / "pip", "--quiet", "install", "--constraint", versions, *wheels)

    def the_client_installs_alone(self) -> None:
        self.install(self.bare, str(self.client))

    def both_install_with_all_extras(self) -> None:
        # The pages start apps with uvicorn, which users bring themselves.
        self.install(self.full, f"{self.client}[{EXTRAS}]", str(self.server), "uvicorn")

    # --- using ---

    def the_client_needs_no_framework(self) -> None:
        call(self.bare / "bin" / "python", "-c", IMPORT_BARE, folder=self.empty)

    def every_module_can_be_imported(self) -> None:
        call(self.full / "bin" / "python", "-c", IMPORT_ALL, folder=self.empty)

    def every_script_has_help(self) -> None:
        with zipfile.ZipFile(self.client) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
            scripts = re.findall(r"^(punctual-\w+) = ", wheel.read(name).decode(), re.MULTILINE)
        expect({"punctual-worker", "punctual-relay"} <= set(scripts), scripts)
        for script in scripts:
            shown = call(self.full / "bin" / script, "--help", folder=self.empty)
            expect(script in shown, shown)

    def types_are_seen(self) -> None:
        checker = [
            Path(sys.executable).parent / "mypy",
            "--strict",
            "--python-executable",
            self.full / "bin/python",
        ]
        (self.empty / "typed.py").write_text(TYPED)
        (self.empty / "wrong.py").write_text(WRONGLY_TYPED)
        call(*checker, "typed.py", folder=self.empty)
        try:
            call(*checker, "wrong.py", folder=self.empty)
        except Failed as told:
            expect("Incompatible types" in str(told), told)
        else:
            raise Failed("mypy saw no types: a text passed for a number")

    def the_command_is_the_server(self) -> None:
        version = self.server.name.split("-")[1]
        for line in (
            [self.full / "bin" / "punctual"],
            [self.full / "bin" / "python", "-m", "punctual_server"],
        ):
            expect(call(*line, "version", folder=self.empty).split() == ["punctual", version], line)

    def the_client_finds_and_starts_it(self) -> None:
        call(self.full / "bin" / "python", "-c", A_SERVER, folder=self.empty)

    def the_program_brings_its_libraries(self) -> None:
        foreign = [
            line.strip()
            for line in call("ldd", self.program()).splitlines()
            if "punctual_server.libs" not in line and not SYSTEM.search(line)
        ]
        expect(not foreign, foreign)

    def it_runs_where_the_system_has_none(self) -> None:
        """Where the machine lets us cover files; the check before this one holds everywhere."""
        covered = re.findall(r"=> (/\S+)", call("ldd", ROOT / "build" / "punctual"))
        hide = {str(Path(file).resolve()) for file in covered if not SYSTEM.search(file)}
        space = ["unshare", "--user", "--map-root-user", "--mount"]
        try:
            call(*space, "true")
        except (Failed, FileNotFoundError):
            print("          files cannot be covered here: not tried", flush=True)
            return
        inside = [*space, "sh", "-ec", HIDDEN, "sh"]
        env = {"HIDE": " ".join(sorted(hide))}
        expect(call(*inside, self.program(), "version", env=env).startswith("punctual "), "no version")
        try:
            call(*inside, ROOT / "build" / "punctual", "version", env=env)
        except Failed:
            return
        raise Failed("the libraries were not hidden: the program of the build ran")

    def the_quick_start_works(self) -> None:
        done = run_page(
            ROOT / "docs/start/python.md", self.empty, f"{self.full / 'bin'}:{os.environ['PATH']}"
        )
        expect(done.returncode == 0, done.stdout)

    def program(self) -> Path:
        (found,) = self.full.glob("lib/python*/site-packages/punctual_server/bin/punctual")
        return found


CHECKS: list[Callable[[Wheels], None]] = [
    Wheels.client_has_what_it_should,
    Wheels.server_has_a_licence_for_each_library,
    Wheels.the_client_installs_alone,
    Wheels.the_client_needs_no_framework,
    Wheels.both_install_with_all_extras,
    Wheels.every_module_can_be_imported,
    Wheels.every_script_has_help,
    Wheels.types_are_seen,
    Wheels.the_command_is_the_server,
    Wheels.the_client_finds_and_starts_it,
    Wheels.the_program_brings_its_libraries,
    Wheels.it_runs_where_the_system_has_none,
    Wheels.the_quick_start_works,
]


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "wheels")
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="punctual-wheels-") as work:
        wheels = Wheels(folder, Path(work))
        for check in CHECKS:
            name = check.__name__.replace("_", " ")
            try:
                check(wheels)
            except (Failed, subprocess.TimeoutExpired) as fault:
                failed += 1
                print(f"  FAILED  {name}: {fault}", flush=True)
            else:
                passed += 1
                print(f"  ok      {name}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
