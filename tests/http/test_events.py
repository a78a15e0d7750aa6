"""What happens, as it happens; and after a break, from where one had stopped."""

from collections.abc import Callable, Iterator

import pytest

from support.receiver import Answer, Receiver
from support.server import Server
from support.stream import Stream
from support.waiting import wait_for
from support.words import create_run, http_task, put_task, quick_retry, trigger, wait_final

Open = Callable[..., Stream]


@pytest.fixture
def stream() -> Iterator[Open]:
    streams: list[Stream] = []

    def open_one(server: Server, after: str | None = None) -> Stream:
        streams.append(Stream(server, after))
        return streams[-1]

    yield open_one
    for one in streams:
        one.close()


def ids(stream: Stream) -> list[str]:
    return [event.id for event in stream.events]


def test_the_life_of_a_run_is_told(server: Server, receiver: Receiver, stream: Open) -> None:
    events = stream(server)
    assert events.content_type.startswith("text/event-stream")
    receiver.script("/x", Answer(status=500), Answer())
    put_task(server, "told", http_task(receiver.url("/x"), retry=quick_retry(2)))
    run = trigger(server, "told")
    events.wait("run.succeeded", run["id"])
    kinds = [event.data["type"] for event in events.events if event.data.get("run") == run["id"]]
    wanted = ["run.created", "run.running", "run.waiting", "run.running", "run.succeeded"]
    assert [kind for kind in kinds if kind.startswith("run.")] == wanted
    assert kinds.count("attempt.finished") == 2
    assert events.events[0].data["type"] == "task.created"
    for event in events.events:
        assert event.id
        assert event.data["at"]
        assert event.kind in ("", event.data["type"])
        assert event.data["task"] == "told"


def test_edits_are_told(server: Server, stream: Open) -> None:
    events = stream(server)
    put_task(server, "told", http_task("http://127.0.0.1:9/"))
    put_task(server, "told", http_task("http://127.0.0.1:9/", summary="x"))
    server.api.post("/v1/tasks/told/pause", json={"reason": "y"})
    server.api.post("/v1/tasks/told/resume", json={})
    server.api.delete("/v1/tasks/told")
    events.wait("task.deleted")
    kinds = [event.data["type"] for event in events.events]
    assert kinds == ["task.created", "task.changed", "task.paused", "task.resumed", "task.deleted"]


def test_a_stream_resumes_without_loss_or_repeat(server: Server, receiver: Receiver, stream: Open) -> None:
    whole = stream(server)
    broken = stream(server)
    first = create_run(server, http_task(receiver.url("/x")))
    broken.wait("run.succeeded", first["id"])
    broken.close()
    seen = ids(broken)
    for _ in range(5):
        run = create_run(server, http_task(receiver.url("/x")))
        wait_final(server, run["id"])
    resumed = stream(server, after=seen[-1])
    last = create_run(server, http_task(receiver.url("/x")))
    whole.wait("run.succeeded", last["id"])
    resumed.wait("run.succeeded", last["id"])
    assert seen + ids(resumed) == ids(whole)
    assert len(set(ids(whole))) == len(ids(whole))


def test_a_stream_resumes_from_the_middle_of_a_turn(server: Server, stream: Open) -> None:
    whole = stream(server)
    tasks = {f"task-{number}": http_task("http://127.0.0.1:9/") for number in range(10)}
    assert server.api.post("/v1/apply", json={"version": 1, "tasks": tasks}).status_code == 200
    wait_for(lambda: len(whole.events) == 10, "ten events of one turn")
    resumed = stream(server, after=ids(whole)[4])
    wait_for(lambda: len(resumed.events) == 5, "the second half")
    assert ids(resumed) == ids(whole)[5:]


def test_a_batch_is_told(server: Server, stream: Open) -> None:
    events = stream(server)
    put_task(server, "many", http_task("http://127.0.0.1:9/"))
    made = server.api.post("/v1/runs/batch", json=[{"task": "many", "delay": "1h"}] * 3).json()["ids"]
    wait_for(lambda: any(made[-1] in str(event.data) for event in events.events), "the newest run is told of")


def test_a_stream_resumes_over_a_crash(server: Server, receiver: Receiver, stream: Open) -> None:
    before = stream(server)
    first = create_run(server, http_task(receiver.url("/x")))
    before.wait("run.succeeded", first["id"])
    later = create_run(server, http_task(receiver.url("/y")))
    wait_final(server, later["id"])
    before.close()
    seen = [event.id for event in before.events if event.data.get("run") == first["id"]]
    server.kill()
    server.start()
    after = stream(server, after=seen[-1])
    after.wait("run.succeeded", later["id"])
    assert not set(seen) & set(ids(after))
    newest = create_run(server, http_task(receiver.url("/x")))
    after.wait("run.succeeded", newest["id"])


def test_a_useless_last_event_id_is_refused(server: Server, stream: Open) -> None:
    events = stream(server, after="what")
    assert events.status is not None
    assert 400 <= events.status < 500


def test_many_streams_at_once(server: Server, receiver: Receiver, stream: Open) -> None:
    all_streams = [stream(server) for _ in range(20)]
    run = create_run(server, http_task(receiver.url("/x")))
    for events in all_streams:
        events.wait("run.succeeded", run["id"])
    assert len({tuple(ids(events)) for events in all_streams}) == 1
    assert server.api.get("/health").status_code == 200


def test_a_listener_that_has_heard_nothing_yet_knows_where_to_go_on(server: Server) -> None:
    put_task(server, "before", http_task("http://127.0.0.1:9/"))
    with server.api.stream("GET", "/v1/events") as answer:
        first = next(answer.iter_text())
    (place,) = [line.removeprefix("id: ") for line in first.splitlines() if line.startswith("id: ")]
    put_task(server, "after", http_task("http://127.0.0.1:9/"))
    with server.api.stream("GET", "/v1/events", headers={"Last-Event-ID": place}) as answer:
        told = next(text for text in answer.iter_text() if "data: " in text)
    assert '"task":"after"' in told
    assert "before" not in told
