"""The command `punctual`, also `python -m punctual_server`: becomes the program, with the same arguments."""

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
