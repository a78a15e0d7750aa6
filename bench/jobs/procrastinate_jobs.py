"""Procrastinate on PostgreSQL with psycopg: `defer`, and its worker. synchronous_commit is on."""

import asyncio
import os

import procrastinate
import psycopg
from drive import arguments, drained, with_tasks, with_threads

CONNECTIONS = 8  # of its pool; with more it was slower
CONCURRENCY = "20"
PLACE = os.environ.get("BENCH_BROKER", "")

app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=PLACE, min_size=4, max_size=CONNECTIONS),
    import_paths=["procrastinate_jobs"],
)


@app.task(name="noop")
async def noop(n: int) -> None:
    """What a task of the bench does."""


async def enqueue_with_tasks(callers: int, seconds: float) -> None:
    async with app.open_async():
        await with_tasks(callers, seconds, lambda n: noop.defer_async(n=n))


def prepare() -> None:
    """The tables, where they are not there yet; no job."""
    with psycopg.connect(PLACE) as connection:
        row = connection.execute("SELECT to_regclass('procrastinate_jobs')").fetchone()
        if row == (None,):
            from procrastinate.schema import SchemaManager

            connection.execute(SchemaManager.get_schema())
        connection.execute("TRUNCATE procrastinate_jobs CASCADE")


def main() -> None:
    said = arguments()
    if said.url != PLACE:
        raise SystemExit("BENCH_BROKER must be the url, because the app is made when the module is read")
    prepare()
    if said.command == "enqueue" and said.shape == "tasks":
        asyncio.run(enqueue_with_tasks(said.callers, said.seconds))
        return
    if said.command != "drain":
        connector = procrastinate.SyncPsycopgConnector(conninfo=PLACE, min_size=4, max_size=CONNECTIONS)
        with app.replace_connector(connector) as synced, synced.open():
            task = synced.configure_task("noop")
            if said.command == "enqueue":
                with_threads(said.callers, said.seconds, lambda n: task.defer(n=n))
            else:
                many = [{"n": n} for n in range(100)]
                with_threads(said.callers, said.seconds, lambda _: task.batch_defer(*many), per_call=100)
        return
    with psycopg.connect(PLACE, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args) "
            "SELECT 'default', 'noop', jsonb_build_object('n', n) FROM generate_series(1, %s) AS n",
            [said.count],
        )
        connection.execute("ANALYZE procrastinate_jobs")

        def left() -> int:
            question = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
            row = connection.execute(question).fetchone()
            return int(row[0]) if row else 0

        command = ["procrastinate", "--app=procrastinate_jobs.app", "worker", "--concurrency", CONCURRENCY]
        drained(command, said.count, left)


if __name__ == "__main__":
    main()
