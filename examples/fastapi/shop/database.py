"""The tables, and a session for each piece of work."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

from punctual import outbox
from sqlalchemy import ForeignKey, UniqueConstraint, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = "sqlite+aiosqlite:///" + os.environ.get("SHOP_DATABASE", "shop.db")
CUSTOMERS = ("ann", "bob", "cleo", "dora", "emil")
ORDERS_SEEDED = 1000

new_session: async_sessionmaker[AsyncSession] = async_sessionmaker(expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    day: Mapped[date]
    cents: Mapped[int]


class Invoice(Base):
    """One for each customer and day: a run that is repeated makes no second one."""

    __tablename__ = "invoices"
    __table_args__ = (UniqueConstraint("customer_id", "day"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    day: Mapped[date]
    cents: Mapped[int]
    sent: Mapped[bool] = mapped_column(default=False)


@asynccontextmanager
async def database() -> AsyncIterator[AsyncEngine]:
    """The engine, with all tables made. Sessions are of it from now on."""
    engine = create_async_engine(URL)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.run_sync(outbox.create_table)
    new_session.configure(bind=engine)
    try:
        yield engine
    finally:
        await engine.dispose()


async def seed(day: date) -> None:
    """Customers, and orders of that day, where there are none yet: so that there is something to see."""
    async with new_session.begin() as session:
        if await session.scalar(select(func.count()).select_from(Customer)):
            return
        session.add_all(Customer(id=number, name=name) for number, name in enumerate(CUSTOMERS, 1))
        session.add_all(
            Order(customer_id=number % len(CUSTOMERS) + 1, day=day, cents=100 + number * 37 % 9900)
            for number in range(ORDERS_SEEDED)
        )
