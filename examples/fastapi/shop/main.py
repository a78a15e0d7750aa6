"""The app: its routes, and what is done at night and later. `uvicorn shop.main:app` serves it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import FastAPI
from punctual import Fail, PunctualApp, Retry, Run, Visibility, outbox
from punctual.clock import now
from pydantic import BaseModel
from sqlalchemy import Select, func, select
from sqlalchemy.orm import aliased

from shop.cache import Cache
from shop.database import Customer, Invoice, Order, database, new_session, seed

BERLIN = ZoneInfo("Europe/Berlin")
BUSY = 3  # the customer whose mail server lets nobody in at the first try


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    reports.clear()
    async with database() as engine, outbox.AsyncRelay(engine):
        await seed(yesterday())
        yield


app = FastAPI(title="Shop", lifespan=lifespan)
app.add_middleware(Visibility)
punctual = PunctualApp(app)


# --- what is done at night, and later ---


class Invoices(BaseModel):
    """Of which day; where none is said, of the day before the run."""

    day: date | None = None


class Mail(BaseModel):
    invoice: int


@punctual.task(
    "30 2 * * *",
    timezone="Europe/Berlin",
    payload={},
    retry=Retry(max_attempts=5),
    owner="billing@example.com",
    expected_input="nothing, or the day",
    expected_result="one invoice for each customer with orders",
    rollback="punctual rollback nightly-invoices, then delete the invoices of the day",
    noticed_at="GET /invoices",
)
async def nightly_invoices(run: Run, payload: Invoices) -> dict[str, Any]:
    """Make the invoices of the day before."""
    day = payload.day or day_before(run)
    made = 0
    async with new_session.begin() as session:
        sums = select(Order.customer_id, func.sum(Order.cents)).where(Order.day == day)
        done = select(Invoice.customer_id).where(Invoice.day == day)
        wanted = sums.where(Order.customer_id.not_in(done)).group_by(Order.customer_id)
        for customer, cents in (await session.execute(wanted)).all():
            invoice = Invoice(customer_id=customer, day=day, cents=cents)
            session.add(invoice)
            await session.flush()
            # In the same transaction: no invoice without its mail, no mail without its invoice.
            outbox.enqueue(session, send_invoice, {"invoice": invoice.id}, delay="4h")
            made += 1
    return {"day": day.isoformat(), "made": made}


@punctual.task(
    retry=Retry(max_attempts=5, initial="1m"),
    owner="billing@example.com",
    expected_result="the invoice is marked as sent",
    rollback="none: a mail cannot be taken back",
)
async def send_invoice(run: Run, payload: Mail) -> dict[str, Any]:
    """Send one invoice by mail."""
    async with new_session.begin() as session:
        invoice = await session.get(Invoice, payload.invoice)
        if invoice is None:
            raise Fail(f"there is no invoice {payload.invoice}")
        if invoice.customer_id == BUSY and run.attempt == 1:
            raise Retry("the mail server is busy", after="5m")
        invoice.sent = True
    return {"sent": payload.invoice}


# --- routes ---

Rows = list[dict[str, Any]]
reports: Cache[Rows] = Cache(seconds=30 * 60)


@app.get("/health")
async def health() -> dict[str, bool]:
    async with new_session() as session:
        return {"ok": await session.scalar(select(1)) == 1}


@app.get("/reports/revenue")
async def revenue() -> Rows:
    """What each customer spent, and their middle order. Slow, so it is kept for half an hour."""
    return await reports.get("revenue", find_revenue)


@app.get("/invoices")
async def invoices() -> Rows:
    async with new_session() as session:
        found = await session.scalars(select(Invoice).order_by(Invoice.id))
        return [{"day": each.day, "customer": each.customer_id, "sent": each.sent} for each in found]


async def find_revenue() -> Rows:
    rows: Rows = []
    async with new_session() as session:
        spent = (
            select(Customer, func.count(Order.id), func.sum(Order.cents))
            .join(Order, Order.customer_id == Customer.id)
            .group_by(Customer.id)
        )
        for customer, count, cents in (await session.execute(spent)).all():
            middle = await session.scalar(middle_order(customer.id, count))
            rows.append({"customer": customer.name, "cents": cents, "middle": middle})
    return rows


def middle_order(customer: int, count: int) -> Select[Any]:
    """The slow one: each order is held against all others of the customer, and no index helps."""
    larger = aliased(Order)
    above = select(func.count(larger.id)).where(larger.customer_id == customer, larger.cents > Order.cents)
    upper = select(func.max(Order.cents)).where(Order.customer_id == customer)
    return upper.where(above.correlate(Order).scalar_subquery() >= count // 2)


# --- days ---


def yesterday() -> date:
    return datetime.fromtimestamp(now(), BERLIN).date() - timedelta(days=1)


def day_before(run: Run) -> date:
    """The day before the instant the run was meant for, however late it is."""
    at = run.scheduled_for or datetime.fromtimestamp(now(), BERLIN)
    return at.astimezone(BERLIN).date() - timedelta(days=1)
