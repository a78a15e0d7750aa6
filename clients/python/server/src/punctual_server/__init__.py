"""Where the server's program is, and what it needs to be told on a system that it was not built on.

It is an ordinary program with no Python in it. The libraries that it needs come with this package; the
system gives the C library and zlib.
"""

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from punctual_server.version import __version__

__all__ = ["__version__", "environment", "find_punctual_bin"]

# Where systems keep the certificates they trust, as one file: Debian, Fedora and Red Hat, SUSE, others.
CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
BUILT_IN_CERTIFICATES = CERTIFICATES[0]  # what the program reads where it is told nothing
ZONES = "/usr/share/zoneinfo"  # likewise


def find_punctual_bin() -> Path:
    """The path of the program. Raises FileNotFoundError where this package was installed without one."""
    program = Path(__file__).resolve().parent / "bin" / "punctual"
    if not program.is_file():
        raise FileNotFoundError(
            f"there is no program at {program}: install punctual-server from its wheel, which is made for "
            "Linux with glibc 2.34 or later"
        )
    return program


def environment(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables to set for the program on this system, beside those that are `given`; often none.

    TZDIR and SSL_CERT_FILE lead to the system's time zones and trusted certificates where they have another
    place than where the program was built, and to those of the packages tzdata and certifi where the system
    has none.
    """
    found = {
        "TZDIR": None if Path(ZONES).is_dir() else _inside("tzdata", "zoneinfo"),
        "SSL_CERT_FILE": None if Path(BUILT_IN_CERTIFICATES).is_file() else _certificates(),
    }
    return {name: str(path) for name, path in found.items() if path and not given.get(name)}


def _certificates() -> Path | None:
    kept = (Path(name) for name in CERTIFICATES)
    return next((path for path in kept if path.is_file()), None) or _inside("certifi", "cacert.pem")


def _inside(package: str, name: str) -> Path | None:
    """A file or folder of a package that may be installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).resolve().parent / name
    return path if path.exists() else None
