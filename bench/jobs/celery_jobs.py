"""Celery on Redis: `delay`, and a worker that acknowledges a task when it is done (task_acks_late).

As its guide on optimizing says for short tasks: a large prefetch, no results, no small talk of the cluster.
"""

import json
import os
import uuid

import redis
from celery import Celery
from drive import arguments, drained, with_threads

app = Celery("bench", broker=os.environ.get("BENCH_BROKER"))
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=64,
    worker_disable_rate_limits=True,
    broker_pool_limit=64,
    broker_connection_retry_on_startup=True,
)
POOL = "threads"  # in one process; prefork with one child and solo were no faster
CONCURRENCY = "20"


@app.task(name="noop")
def noop(n: int) -> None:
    """What a task of the bench does."""


def main() -> None:
    said = arguments()
    os.environ["BENCH_BROKER"] = said.url
    app.conf.broker_url = said.url
    if said.command == "enqueue":
        with_threads(said.callers, said.seconds, noop.delay)
        return
    store = redis.Redis.from_url(said.url)
    store.flushdb()
    prepare(said.count)
    command = ["celery", "-A", "celery_jobs", "worker", "--loglevel", "warning", "--pool", POOL]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    drained(
        [*command, "--concurrency", CONCURRENCY, *quiet],
        said.count,
        lambda: int(store.llen("celery")) + int(store.hlen("unacked")),
    )


def prepare(count: int) -> None:
    """Calls `delay` once, and puts copies of its message beside it, with ids of their own: not measured."""
    store = redis.Redis.from_url(app.conf.broker_url)
    noop.delay(0)
    text = store.lindex("celery", 0)
    first = json.loads(text)["headers"]["id"].encode()
    tag = json.loads(text)["properties"]["delivery_tag"].encode()
    copies = [
        text.replace(first, str(uuid.uuid4()).encode()).replace(tag, str(uuid.uuid4()).encode())
        for _ in range(count - 1)
    ]
    for start in range(0, len(copies), 1000):
        store.lpush("celery", *copies[start : start + 1000])


if __name__ == "__main__":
    main()
