"""Enqueue inside a database transaction: what is committed runs, what is rolled back does not.

    from punctual import outbox

    async with sessions.begin() as session:
        session.add(order)
        outbox.enqueue(session, send_receipt, {"order": order.number}, delay="10m")

`enqueue` adds a row to the table punctual_outbox, in the transaction of the session: nothing is sent,
nothing waits for the network. A relay hands the rows over to the server and deletes them: `AsyncRelay` and
`Relay` beside the application, or `punctual-relay` as a process of its own. Needs SQLAlchemy 2, the extra
`sqlalchemy` of this package.

    table.py      the table, and enqueue
    handover.py   how rows are handed over exactly once; no network, no waiting
    relay.py      what carries that out: a thread, an asyncio task
    command.py    punctual-relay
"""

try:
    import sqlalchemy as _sqlalchemy  # noqa: F401  # before the modules below, to say what to do where it is not there
except ModuleNotFoundError as missing:
    if missing.name != "sqlalchemy":
        raise
    raise ModuleNotFoundError(
        "the outbox needs SQLAlchemy 2, which is not installed: pip install 'sqlalchemy[asyncio]>=2' "
        "(the extra [sqlalchemy] of this package brings it)",
        name="sqlalchemy",
    ) from None

from punctual.outbox.handover import Options
from punctual.outbox.relay import AsyncRelay, Relay, flush_all
from punctual.outbox.table import (
    OutboxRow,
    again,
    create_table,
    ddl,
    enqueue,
    metadata,
    refused,
    table,
    waiting,
)

__all__ = [
    "AsyncRelay",
    "Options",
    "OutboxRow",
    "Relay",
    "again",
    "create_table",
    "ddl",
    "enqueue",
    "flush_all",
    "metadata",
    "refused",
    "table",
    "waiting",
]
