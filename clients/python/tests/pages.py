"""Runs what a page of the documentation shows, in its order, as somebody with three terminals would.

`python` and `yaml` blocks that begin with `# NAME.py` become that file. Of `console` blocks, lines that start
something lasting (`punctual serve`, `uvicorn`, `punctual-worker`) run beside the rest until the end, and
`export` holds from there on; other lines of them are for the eye. `sh` blocks must succeed. Addresses are
replaced, so that pages run side by side.

    python3 clients/python/tests/pages.py PAGE

runs all lines of `console` blocks, those that install too, in an empty folder, with nothing in PATH but what
the machine has. The clone of which a page speaks is this one. It needs nothing but Python.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "clients" / "python" / "src"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# (\S+\.(?:py|yaml))\n")
SERVER, APP = "127.0.0.1:8640", "127.0.0.1:8000"
CLONE = "/path/to/punctual"
LIMIT_S = 180
INSTALLING_LIMIT_S = 900  # packages come over the network

# How a newcomer sees that something has started. Bounded, so that a page that cannot work ends.
BEGINNING = """set -e
until_so() {
    n=0
    until "$@" >/dev/null 2>&1; do
        n=$((n + 1))
        [ $n -lt 600 ] || { cat ./*.log; return 1; }
        sleep 0.1
    done
}
tasks_there() { punctual tasks --json | grep -q '"name"'; }
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
"""


def free_address() -> str:
    """127.0.0.1 and a port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def started(line: str, number: int) -> list[str]:
    """A lasting program in the background, and what to wait for."""
    lines = [f"{line} >background-{number}.log 2>&1 &"]
    if line.startswith("punctual serve"):
        lines.append(f"until_so curl --fail --silent http://{SERVER}/health")
    elif line.startswith("uvicorn"):
        lines += [f"until_so curl --silent http://{APP}/", "until_so tasks_there"]
    else:
        lines += [f"until_so grep -q worker_started background-{number}.log", "until_so tasks_there"]
    return lines


def script_of(page: Path, installs: bool = False) -> str:
    """One script for the whole page. `installs`: with those lines that make the environment it runs in."""
    lines = [BEGINNING]
    for number, (kind, content) in enumerate(BLOCK.findall(page.read_text()), 1):
        named = NAMED.match(content)
        if kind in ("python", "yaml") and named:
            lines.append(f"cat > {named[1]} <<'END-OF-FILE'\n{content}END-OF-FILE")
        elif kind == "sh":
            lines.append(f"echo '--- block {number}'\n{content}")
        elif kind == "console":
            for line in content.splitlines():
                if line.startswith(("punctual serve", "uvicorn ", "punctual-worker ")):
                    lines += started(line, number)
                elif installs or line.startswith("export "):
                    lines.append(line.replace(CLONE, str(ROOT)))
    return "\n".join(lines) + "\n"


def run_page(
    page: Path, folder: Path, path: str, installs: bool = False, **env: str
) -> subprocess.CompletedProcess[str]:
    """Runs a page in an empty folder with this PATH. Where it starts no server, there is one already."""
    script = script_of(page, installs)
    if "punctual serve" not in script:
        first = "\n".join(started("punctual serve --allow-commands", 0))
        script = script.replace(BEGINNING, BEGINNING + first + "\n")
    server, app = free_address(), free_address()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PUNCTUAL", "PYTHON"))}
    return subprocess.run(
        ["bash", "-c", script.replace(SERVER, server).replace(APP, app)],
        cwd=folder,
        env={
            **kept,
            "PATH": path,
            "PUNCTUAL_LISTEN": server,
            "PUNCTUAL_URL": f"http://{server}",
            "UVICORN_PORT": app.rpartition(":")[2],
            **env,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALLING_LIMIT_S if installs else LIMIT_S,
        check=False,
    )


def tools_of_this_repository(folder: Path, program: Path) -> str:
    """A PATH with the server under test, and with the scripts that the package would install."""
    folder.mkdir()
    (folder / "punctual").symlink_to(program)
    worker = folder / "punctual-worker"
    worker.write_text(
        f"#!{sys.executable}\nimport sys\nfrom punctual.worker.main import main\nsys.exit(main())\n"
    )
    worker.chmod(0o755)
    return os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])


def main() -> int:
    """Types one page; its output is what a reader would see. 0 when each command of it succeeded."""
    with tempfile.TemporaryDirectory(prefix="punctual-page-") as folder:
        done = run_page(Path(sys.argv[1]).resolve(), Path(folder), os.environ["PATH"], installs=True)
    print(done.stdout, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
