"""punctual-relay: hands the outbox over from a process of its own, or shows what the server refused."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from punctual.outbox.handover import Options
from punctual.outbox.relay import Relay
from punctual.outbox.table import again, create_table, ddl, refused

EXAMPLES = """\
examples:
  punctual-relay --database postgresql+psycopg://app@db/app
  DATABASE_URL=sqlite:///app.db PUNCTUAL_URL=http://127.0.0.1:8640 punctual-relay
  punctual-relay --database sqlite:///app.db --create     make the table first
  punctual-relay --database sqlite:///app.db --refused    what the server will not have, and why
  punctual-relay --database sqlite:///app.db --again 17   hand row 17 over once more
  punctual-relay --ddl postgresql                         the table, for a migration

SIGTERM and SIGINT end it after the batch that is on its way. Rows that wait are for the next relay.
"""


def parser() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(
        prog="punctual-relay",
        description="Hands the rows of the table punctual_outbox over to the server, each exactly once.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    usual = Options()
    words.add_argument(
        "--database",
        metavar="URL",
        help="as SQLAlchemy writes it, with a driver that is not async; or DATABASE_URL",
    )
    words.add_argument("--url", help="the server; or PUNCTUAL_URL (http://127.0.0.1:8640)")
    words.add_argument(
        "--batch", type=int, default=usual.batch, metavar="N", help=f"rows in one request ({usual.batch})"
    )
    words.add_argument(
        "--interval",
        type=float,
        default=usual.interval,
        metavar="S",
        help=f"seconds between two looks into the table ({usual.interval:g})",
    )
    words.add_argument("--create", action="store_true", help="make the table where it is not there")
    instead = words.add_mutually_exclusive_group()
    instead.add_argument("--refused", action="store_true", help="list what the server refused, and end")
    instead.add_argument(
        "--again", nargs="*", type=int, metavar="ROW", help="put refused rows back (these, or all), and end"
    )
    instead.add_argument("--ddl", metavar="DIALECT", help="print the table for postgresql or sqlite, and end")
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done, or stopped in order. 1: the database does not answer. 2: the call is wrong; the reason is on
    standard error."""
    words = parser()
    chosen = words.parse_args(arguments)
    try:
        if chosen.ddl:
            print(ddl(chosen.ddl), end="")
            return 0
        options = Options(batch=chosen.batch, interval=chosen.interval)
        engine = _engine(chosen.database)
    except (ValueError, ArgumentError, NoSuchModuleError, ImportError) as trouble:
        words.error(str(trouble))
    try:
        if chosen.create:
            create_table(engine)
        if chosen.refused:
            return _show_refused(engine)
        if chosen.again is not None:
            with engine.begin() as connection:
                print(f"{again(connection, *chosen.again)} put back")
            return 0
    except SQLAlchemyError as trouble:
        print(f"punctual-relay: the database does not do that: {trouble}", file=sys.stderr)
        return 1
    return _serve(engine, chosen.url, options)


def _engine(url: str | None) -> Engine:
    url = url or os.environ.get("DATABASE_URL")
    if not url:
        raise ValueError("which database? give --database URL, or set DATABASE_URL")
    return create_engine(url, pool_pre_ping=True)


def _serve(engine: Engine, url: str | None, options: Options) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before the thread is there, so that it waits here
    with Relay(engine, url=url, options=options):
        logging.getLogger("punctual.outbox").info("handing over the outbox of %s", engine.url)
        signal.sigwait(ends)
    return 0


def _show_refused(engine: Engine) -> int:
    with engine.connect() as connection:
        rows = refused(connection)
    for row in rows:
        print(f"{row['id']}  {row['created_at']:%Y-%m-%d %H:%M:%S}  {row['wish']}\n    {row['error']}")
    print(f"{len(rows)} refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
