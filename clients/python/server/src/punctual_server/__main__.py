"""The command `punctual`: becomes the program, with the same process id and arguments. Also `python -m punctual_server`."""

import os
import sys

from punctual_server import environment, find_punctual_bin


def main() -> None:
    """Never returns, unless there is no program."""
    try:
        program = find_punctual_bin()
    except FileNotFoundError as missing:
        sys.exit(f"punctual: {missing}")
    os.execve(program, ["punctual", *sys.argv[1:]], {**os.environ, **environment()})


if __name__ == "__main__":
    main()
