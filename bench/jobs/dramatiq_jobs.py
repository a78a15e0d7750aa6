"""Dramatiq on Redis: `send`, and a worker with one process, which acknowledges a message when it is done."""

import os

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from drive import arguments, drained, with_threads

broker = RedisBroker(url=os.environ.get("BENCH_BROKER", "redis://127.0.0.1:1/1"))
dramatiq.set_broker(broker)
THREADS = "20"


@dramatiq.actor
def noop(n: int) -> None:
    """What a task of the bench does."""


def main() -> None:
    said = arguments()
    if os.environ.get("BENCH_BROKER") != said.url:
        raise SystemExit("BENCH_BROKER must be the url, because the broker is made when the module is read")
    if said.command == "enqueue":
        with_threads(said.callers, said.seconds, noop.send)
        return
    store = redis.Redis.from_url(said.url)
    store.flushdb()
    for start in range(0, said.count, 1000):
        pipe = store.pipeline(transaction=False)
        for number in range(start, min(start + 1000, said.count)):
            message = noop.message(number)
            ours = message.copy(options={"redis_message_id": message.message_id})
            pipe.hset("dramatiq:default.msgs", ours.message_id, ours.encode())
            pipe.rpush("dramatiq:default", ours.message_id)
        pipe.execute()
    command = ["dramatiq", "--processes", "1", "--threads", THREADS, "--skip-logging", "dramatiq_jobs"]
    drained(command, said.count, lambda: int(store.hlen("dramatiq:default.msgs")))


if __name__ == "__main__":
    main()
