"""Seeded bugs: a checker is trusted only after it has caught them.

Each function makes the evidence look as a server with that bug would have left it. None means that the
evidence has nothing to hang the bug on, which counts as a failure of the test: the load was too small.
"""

import copy
from collections.abc import Callable, Iterator
from itertools import pairwise

from evidence import FAIL, OK, UNKNOWN, Ask, Delivery, Event, Evidence, Run, mark_of
from promises import PROMISES, SETTLED_S, by_mark, by_run, calms

from support.waiting import instant, timestamp

Bug = Callable[[Evidence], bool]


def first_run(seen: Evidence, wanted: Callable[[Run], bool]) -> Run | None:
    return next((run for run in seen.runs.values() if wanted(run)), None)


def a_tick(seen: Evidence) -> Run | None:
    """A run of a tick well inside what P1 looks at."""
    tick = seen.ticks[0]
    early, late = tick.answered + 2, seen.read_at - SETTLED_S - 2

    def wanted(run: Run) -> bool:
        return run["task"] == tick.name and early < instant(run["scheduled_for"]) < late

    return first_run(seen, wanted)


def ok_ask(seen: Evidence, kind: str) -> Ask | None:
    return next((ask for ask in seen.asks if ask.kind == kind and ask.outcome == OK), None)


def remove(seen: Evidence, run: Run) -> None:
    del seen.runs[run["id"]]
    seen.deliveries = [one for one in seen.deliveries if one.run != run["id"]]
    seen.events = [one for one in seen.events if one.run != run["id"]]


def add_copy(seen: Evidence, run: Run, **changes: object) -> Run:
    other = copy.deepcopy(run) | {"id": "run_doctored00001", "attempts": [], "state": "canceled"} | changes
    seen.runs[other["id"]] = other
    return other


# --- the bugs ---


def an_occurrence_is_lost(seen: Evidence) -> bool:
    run = a_tick(seen)
    if run:
        remove(seen, run)
    return bool(run)


def a_missed_occurrence_has_no_reason(seen: Evidence) -> bool:
    run = a_tick(seen)
    if run:
        run.update(state="missed", reason=None, attempts=[])
    return bool(run)


def a_run_hangs_for_ever(seen: Evidence) -> bool:
    run = first_run(seen, lambda run: run["state"] == "succeeded" and bool(mark_of(run)))
    if run:
        run["state"] = "running"
    return bool(run)


def a_delivery_is_early(seen: Evidence) -> bool:
    run = a_tick(seen)
    for delivery in seen.deliveries:
        if run and delivery.run == run["id"]:
            delivery.time = instant(run["scheduled_for"]) - 0.005
            return True
    return False


def a_retry_does_not_wait(seen: Evidence) -> bool:
    for deliveries in by_run(seen).values():
        for first, second in pairwise(deliveries):
            calm = not any(first.time <= kill.dead and kill.at <= second.time for kill in seen.kills)
            if first.behaviour == "fail" and first.answered and calm:
                second.time = first.answered + seen.half_wait / 2
                return True
    return False


def an_occurrence_fires_twice(seen: Evidence) -> bool:
    run = a_tick(seen)
    return bool(run) and bool(add_copy(seen, run))


def a_create_is_done_twice(seen: Evidence) -> bool:
    run = first_run(seen, lambda run: bool(mark_of(run)) and not run["retry_of"])
    return bool(run) and bool(add_copy(seen, run))


def a_run_that_nobody_asked_for(seen: Evidence) -> bool:
    run = first_run(seen, lambda run: bool(mark_of(run)))
    return bool(run) and bool(add_copy(seen, run, payload={"mark": "phantom"}, retry_of=None))


def a_delivery_of_no_run(seen: Evidence) -> bool:
    seen.deliveries.append(Delivery(seen.read_at, "run_doctored00002", 1, 1, "", "good", seen.read_at))
    return True


def an_acknowledged_create_is_lost(seen: Evidence) -> bool:
    ask = ok_ask(seen, "create")
    if ask:
        for run in by_mark(seen)[ask.marks[0]]:
            remove(seen, run)
    return bool(ask)


def a_refused_create_is_there(seen: Evidence) -> bool:
    refused = next((ask for ask in seen.asks if ask.outcome == FAIL and ask.marks and not ask.key), None)
    run = first_run(seen, lambda run: bool(mark_of(run)))
    if not refused or not run:
        return False
    add_copy(seen, run, payload={"mark": refused.marks[0]}, retry_of=None)
    return True


def half_of_a_batch_is_there(seen: Evidence) -> bool:
    ask = ok_ask(seen, "batch")
    if ask:
        ask.outcome, ask.runs = UNKNOWN, []
        for run in by_mark(seen)[ask.marks[-1]]:
            remove(seen, run)
    return bool(ask)


def a_cancel_is_forgotten(seen: Evidence) -> bool:
    ask = ok_ask(seen, "cancel")
    if ask and ask.target:
        seen.runs[ask.target]["state"] = "succeeded"
    return bool(ask)


def an_edit_is_forgotten(seen: Evidence) -> bool:
    for task, state in seen.tasks.items():
        if state and any(edit.task == task for edit in seen.edits):
            seen.tasks[task] = (state[0] - 1, state[1])
            return True
    return False


def a_deleted_task_is_back(seen: Evidence) -> bool:
    last = {edit.task: edit for edit in sorted(seen.edits, key=lambda edit: edit.sent)}
    for task, edit in last.items():
        if edit.kind == "delete" and edit.outcome == OK:
            seen.tasks[task] = (1, False)
            return True
    return False


def a_paused_task_fires(seen: Evidence) -> bool:
    pause = next((edit for edit in seen.edits if edit.kind == "pause" and edit.outcome == OK), None)
    if pause:
        moment = pause.answered + 0.001
        seen.deliveries.append(Delivery(moment, "run_doctored00003", 1, 1, pause.task, "good", moment))
    return bool(pause)


def a_key_is_forgotten(seen: Evidence) -> bool:
    ask = next((ask for ask in seen.asks if ask.key and ask.outcome == OK), None)
    if ask:
        seen.asks.append(copy.deepcopy(ask))
        seen.asks[-1].runs = ["run_doctored00004"]
    return bool(ask)


def attempts_have_a_hole(seen: Evidence) -> bool:
    run = first_run(seen, lambda run: len(run["attempts"]) >= 3)
    if run:
        del run["attempts"][1]
    return bool(run)


def a_lost_attempt_does_not_count(seen: Evidence) -> bool:
    """The number is used again after the crash: the receiver sees it twice."""
    for deliveries in by_run(seen).values():
        if len(deliveries) >= 2:
            deliveries[1].attempt, deliveries[1].fence = deliveries[0].attempt, deliveries[0].fence
            return True
    return False


def an_attempt_too_many(seen: Evidence) -> bool:
    run = first_run(seen, lambda run: len(run["attempts"]) == seen.max_attempts)
    if run:
        last = run["attempts"][-1]
        run["attempts"].append({**last, "number": last["number"] + 1, "fence": last["fence"] + 1})
    return bool(run)


def an_attempt_too_few(seen: Evidence) -> bool:
    run = first_run(seen, lambda run: run["state"] == "failed" and not run["task"])
    if run:
        run["attempts"].pop()
    return bool(run)


def a_fence_stands_still(seen: Evidence) -> bool:
    run = first_run(seen, lambda run: len(run["attempts"]) >= 2)
    if run:
        run["attempts"][1]["fence"] = run["attempts"][0]["fence"]
    return bool(run)


def a_run_is_dead_lettered_twice(seen: Evidence) -> bool:
    event = next((event for event in seen.events if event.type == "run.failed"), None)
    if event:
        seen.events.append(Event(event.id + "-again", event.type, event.run))
    return bool(event)


def a_failure_is_called_a_success(seen: Evidence) -> bool:
    deliveries = by_run(seen)

    def wanted(run: Run) -> bool:
        # Of one that a kill has cut off the receiver may know that it went well.
        well = {one.attempt for one in deliveries[run["id"]] if one.behaviour == "good"}
        return run["state"] == "failed" and bool(run["attempts"]) and run["attempts"][-1]["number"] not in well

    run = first_run(seen, wanted)
    if run:
        run["state"] = "succeeded"
        run["attempts"][-1]["outcome"] = "succeeded"
    return bool(run)


def a_delivery_after_a_success(seen: Evidence) -> bool:
    for run in seen.runs.values():
        deliveries = by_run(seen)[run["id"]] if run["state"] == "succeeded" else []
        if deliveries:
            last = copy.copy(deliveries[-1])
            last.time, last.attempt, last.fence = last.time + 1, last.attempt + 1, last.fence + 1
            seen.deliveries.append(last)
            return True
    return False


def a_delivery_without_a_reason(seen: Evidence) -> bool:
    """The receiver had answered well, and no crash was near."""
    for deliveries in by_run(seen).values():
        for first, second in pairwise(deliveries):
            if first.behaviour == "fail":
                first.behaviour = "good"
                return second.run in seen.runs
    return False


def a_tick_in_calm(seen: Evidence) -> Run | None:
    spans = list(calms(seen))
    names = {tick.name for tick in seen.ticks}

    def wanted(run: Run) -> bool:
        at = instant(run["scheduled_for"])
        return run["task"] in names and any(int(start) < at <= end for start, end in spans)

    return first_run(seen, wanted)


def a_start_is_late_after_a_restart(seen: Evidence) -> bool:
    run = a_tick_in_calm(seen)
    for delivery in by_run(seen)[run["id"]] if run else ():
        delivery.time += 1.5
    return bool(run)


def a_start_never_comes_after_a_restart(seen: Evidence) -> bool:
    """As one that is recorded as missed though the server was there."""
    run = a_tick_in_calm(seen)
    if run:
        seen.deliveries = [delivery for delivery in seen.deliveries if delivery.run != run["id"]]
        run.update(state="missed", reason="the server was not running", attempts=[])
    return bool(run)


def an_event_is_lost(seen: Evidence) -> bool:
    for event in seen.events:
        run = seen.runs.get(event.run or "")
        if event.type == "run.succeeded" and run and instant(run["finished_at"]) < seen.read_at - SETTLED_S - 1:
            seen.events.remove(event)
            return True
    return False


def an_event_comes_twice(seen: Evidence) -> bool:
    if seen.events:
        seen.events.append(seen.events[0])
    return bool(seen.events)


BUGS: dict[Bug, str] = {
    an_occurrence_is_lost: "P1 complete",
    a_missed_occurrence_has_no_reason: "P1 complete",
    a_run_hangs_for_ever: "P1 complete",
    a_delivery_is_early: "P2 never early",
    a_retry_does_not_wait: "P2 never early",
    an_occurrence_fires_twice: "P3 no phantom, no double",
    a_create_is_done_twice: "P3 no phantom, no double",
    a_run_that_nobody_asked_for: "P3 no phantom, no double",
    a_delivery_of_no_run: "P3 no phantom, no double",
    an_acknowledged_create_is_lost: "P4 durable",
    a_refused_create_is_there: "P4 durable",
    half_of_a_batch_is_there: "P4 durable",
    a_cancel_is_forgotten: "P4 durable",
    an_edit_is_forgotten: "P4 durable",
    a_deleted_task_is_back: "P4 durable",
    a_paused_task_fires: "P5 stop means stop",
    a_key_is_forgotten: "P6 idempotent",
    attempts_have_a_hole: "P9 attempts",
    a_lost_attempt_does_not_count: "P9 attempts",
    an_attempt_too_many: "P9 attempts",
    an_attempt_too_few: "P9 attempts",
    a_fence_stands_still: "P9 attempts",
    a_run_is_dead_lettered_twice: "P9 attempts",
    a_failure_is_called_a_success: "P11 truthful",
    a_delivery_after_a_success: "P12 duplicates explained",
    a_delivery_without_a_reason: "P12 duplicates explained",
    a_start_is_late_after_a_restart: "P18 on time again",
    a_start_never_comes_after_a_restart: "P18 on time again",
    an_event_is_lost: "events follow",
    an_event_comes_twice: "events follow",
}


def examine(seen: Evidence) -> Iterator[tuple[str, str]]:
    """Plants each bug in a copy of the evidence. Yields its name and "" when it was caught, else why not."""
    clean = {name: set(promise(seen)) for name, promise in PROMISES.items()}
    for bug, promise in BUGS.items():
        name = bug.__name__.replace("_", " ")
        ill = copy.deepcopy(seen)
        if not bug(ill):
            yield name, f"nothing to plant it in, up to {timestamp(seen.read_at)}"
        elif not set(PROMISES[promise](ill)) - clean[promise]:
            yield name, f"{promise} did not notice"
        else:
            yield name, ""


assert all(promise in PROMISES for promise in BUGS.values())
assert all(any(promise == name for promise in BUGS.values()) for name in PROMISES)
