"""The promises, each as a function from the evidence to a list of violations in words. None may be left."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from evidence import FAIL, OK, UNKNOWN, Ask, Delivery, Edit, Evidence, Run, mark_of

from support.waiting import instant, timestamp
from support.words import FINAL

BY_SCHEDULE = ("schedule", "catch_up")
SETTLED_S = 3.0  # occurrences this close to the read may not be recorded yet
RECOVERY_S = 2.0  # after a restart
LATE_S = 1.0  # with sanitizers, on a machine that is busy with the load
MILLISECOND = 0.001  # the API cuts instants to milliseconds, the receiver does not

Violations = Iterator[str]
Promise = Callable[[Evidence], Violations]


# --- helpers ---


def by_occurrence(seen: Evidence) -> dict[tuple[str, str], list[Run]]:
    found: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in seen.runs.values():
        if run["trigger"] in BY_SCHEDULE:
            found[run["task"], run["scheduled_for"]].append(run)
    return found


def by_mark(seen: Evidence) -> dict[str, list[Run]]:
    """Runs that somebody asked for, but not the retries, which carry the payload of another run."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in seen.runs.values():
        mark = mark_of(run)
        if mark and not run["retry_of"]:
            found[mark].append(run)
    return found


def by_run(seen: Evidence) -> dict[str, list[Delivery]]:
    found: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in seen.deliveries:
        found[delivery.run].append(delivery)
    for deliveries in found.values():
        deliveries.sort(key=lambda delivery: delivery.time)
    return found


def killed_between(seen: Evidence, start: float, end: float) -> bool:
    return any(start <= kill.dead and kill.at <= end for kill in seen.kills)


def deleted_meanwhile(seen: Evidence, run: Run) -> bool:
    """Whether its task was deleted while the run was there: then it is not tried again.

    An occurrence becomes a run a moment before its instant, so it may be older than what it is for.
    """
    end = instant(run["finished_at"])
    return any(
        edit.task == run["task"] and edit.kind == "delete" and edit.outcome != FAIL and edit.sent <= end + MILLISECOND
        for edit in seen.edits
        if edit.answered >= instant(run["created_at"])
    )


# --- the promises ---


def complete(seen: Evidence) -> Violations:
    """P1: every occurrence due before the read has a record: final, live, or missed or skipped with a reason."""
    found = by_occurrence(seen)
    for tick in seen.ticks:
        for second in range(int(tick.answered) + 1, int(seen.read_at - SETTLED_S)):
            if not found[tick.name, timestamp(second)]:
                yield f"{tick.name} at {timestamp(second)} has no record"
    for run in seen.runs.values():
        if run["state"] in ("missed", "skipped") and not run["reason"]:
            yield f"{run['id']} is {run['state']} without a reason"
    waited_for = {tick.name for tick in seen.ticks} | {edit.task for edit in seen.edits}
    for run in seen.runs.values():
        if run["task"] not in waited_for and run["state"] not in FINAL:
            yield f"{run['id']} is {run['state']} long after all should be over"


def never_early(seen: Evidence) -> Violations:
    """P2: no delivery before its due instant, no further attempt before its wait is over."""
    for delivery in seen.deliveries:
        run = seen.runs.get(delivery.run)
        if run and delivery.time < instant(run["scheduled_for"]) - MILLISECOND:
            yield f"{delivery.run} came at {timestamp(delivery.time)}, due at {run['scheduled_for']}"
    for ask in seen.asks:
        for run_id in ask.runs if ask.kind == "create" and ask.outcome == OK else ():
            run = seen.runs.get(run_id)
            if run and not ask.key and instant(run["scheduled_for"]) < ask.sent + ask.delay - 2 * MILLISECOND:
                yield f"{run_id} was asked for {ask.delay:g} s after {timestamp(ask.sent)}: {run['scheduled_for']}"
    for deliveries in by_run(seen).values():
        for first, second in pairwise(deliveries):
            failed = first.behaviour == "fail" and first.answered and not killed_between(seen, first.time, second.time)
            if failed and second.time < (first.answered or 0) + seen.half_wait - 2 * MILLISECOND:
                yield f"{first.run} was tried again {second.time - (first.answered or 0):.3f} s after it failed"


def calms(seen: Evidence) -> Iterator[tuple[float, float]]:
    """From the recovery after each kill to the moment before the next."""
    ends = [kill.at for kill in seen.kills[1:]] + [seen.read_at - SETTLED_S]
    for kill, end in zip(seen.kills, ends, strict=True):
        if kill.up + RECOVERY_S < end - LATE_S:
            yield kill.up + RECOVERY_S, end - LATE_S


def on_time_again(seen: Evidence) -> Violations:
    """P18: two seconds after a restart whatever falls due starts on time."""
    first = {delivery.run: delivery.time for delivery in seen.deliveries if delivery.attempt == 1}
    found = by_occurrence(seen)
    for start, end in calms(seen):
        for tick in seen.ticks:
            for second in range(int(start) + 1, int(end) + 1):
                for run in found[tick.name, timestamp(second)]:
                    came = first.get(run["id"])
                    if came is None or came > second + LATE_S:
                        late = "never" if came is None else f"{came - second:.3f} s late"
                        yield f"{tick.name} at {timestamp(second)}, calm since {timestamp(start)}: {late}"


def no_phantom_no_double(seen: Evidence) -> Violations:
    """P3: a run belongs to exactly one occurrence or one accepted request; no occurrence has two."""
    for (task, at), runs in by_occurrence(seen).items():
        if len(runs) > 1:
            yield f"{task} at {at} has {len(runs)} runs: {', '.join(run['id'] for run in runs)}"
    asked = {mark for ask in seen.asks for mark in ask.marks}
    for mark, runs in by_mark(seen).items():
        if mark not in asked:
            yield f"nobody asked for {mark}"
        elif len(runs) > 1:
            yield f"{mark} has {len(runs)} runs: {', '.join(run['id'] for run in runs)}"
    retried = Counter(ask.target for ask in seen.asks if ask.kind == "retry" and ask.outcome != FAIL)
    for target, count in Counter(run["retry_of"] for run in seen.runs.values() if run["retry_of"]).items():
        if count > retried[target]:
            yield f"{target} has {count} retries, asked for were {retried[target]}"
    for run in seen.runs.values():
        if run["trigger"] not in BY_SCHEDULE and not mark_of(run):
            yield f"{run['id']} belongs to nothing"
    for run_id in sorted({delivery.run for delivery in seen.deliveries} - seen.runs.keys()):
        yield f"the receiver saw {run_id}, of which there is no record"
    for run_id in seen.wrong_ids:
        yield f"{run_id} is listed twice"


def durable(seen: Evidence) -> Violations:
    """P4: what was answered ok is there, what failed is not, what is unknown is there whole or not at all."""
    runs = by_mark(seen)
    for ask in seen.asks:
        yield from durable_ask(seen, ask, runs)
    edits: dict[str, list[Edit]] = defaultdict(list)
    for edit in seen.edits:
        edits[edit.task].append(edit)
    for task, history in edits.items():
        possible = possible_states(history)
        if seen.tasks.get(task) not in possible:
            yield f"{task} is {seen.tasks.get(task)} and should be one of {possible}"


def durable_ask(seen: Evidence, ask: Ask, runs: dict[str, list[Run]]) -> Violations:
    there = [mark for mark in ask.marks if runs.get(mark)]
    if ask.kind in ("create", "batch"):
        if ask.outcome == OK and len(there) < len(ask.marks):
            yield f"answered with 2xx and not there: {sorted(set(ask.marks) - set(there))}"
        if ask.outcome == FAIL and there and not ask.key:
            yield f"refused and yet there: {there}"
        if ask.outcome == UNKNOWN and 0 < len(there) < len(ask.marks):
            yield f"half of a batch is there: {len(there)} of {len(ask.marks)}"
        if ask.outcome == OK:
            for mark, run_id in zip(ask.marks, ask.runs, strict=True):
                if [run["id"] for run in runs.get(mark, [])] not in ([], [run_id]):
                    yield f"{mark} was answered with {run_id}, and is another run"
    if ask.kind == "cancel" and ask.outcome == OK:
        run = seen.runs.get(ask.target or "")
        if not run or run["state"] != "canceled":
            yield f"{ask.target} was canceled and is {run and run['state']}"
    if ask.kind == "retry" and ask.outcome == OK:
        for run_id in ask.runs:
            if run_id not in seen.runs or seen.runs[run_id]["retry_of"] != ask.target:
                yield f"{run_id} was answered as a retry of {ask.target} and is none"


State = tuple[int, bool] | None  # version and paused; None: not there


def possible_states(history: list[Edit]) -> list[State]:
    """What a task may be after these edits, of which some are unknown."""
    possible: list[State] = [None]
    for edit in sorted(history, key=lambda edit: edit.sent):
        if edit.outcome == FAIL:
            continue
        after = [after_edit(state, edit) for state in possible]
        kept = possible if edit.outcome == UNKNOWN else []
        possible = [state for index, state in enumerate([*after, *kept]) if state not in [*after, *kept][:index]]
    return possible


def after_edit(state: State, edit: Edit) -> State:
    if edit.kind == "put":
        return (edit.version, state[1] if state else False)
    if edit.kind == "delete" or state is None:
        return None
    return (state[0], edit.kind == "pause")


def stop_means_stop(seen: Evidence) -> Violations:
    """P5: after the ok of a pause or a delete nothing starts; what had started is listed in the answer."""
    edits: dict[str, list[Edit]] = defaultdict(list)
    for edit in sorted(seen.edits, key=lambda edit: edit.sent):
        edits[edit.task].append(edit)
    for task, history in edits.items():
        for edit, following in zip(history, [*history[1:], None], strict=True):
            if edit.kind not in ("pause", "delete") or edit.outcome != OK:
                continue
            until = following.sent if following else seen.read_at
            for delivery in seen.deliveries:
                after = delivery.task == task and edit.answered < delivery.time < until
                if after and delivery.run not in edit.running and delivery.attempt == 1:
                    yield f"{task}: {delivery.run} started after the ok of its {edit.kind}"


def idempotent(seen: Evidence) -> Violations:
    """P6: one run per idempotency key; the same key and body give the same run."""
    answers: dict[str, set[str]] = defaultdict(set)
    for ask in seen.asks:
        if ask.key and ask.outcome == OK:
            answers[ask.key].update(ask.runs)
    for key, runs in answers.items():
        if len(runs) > 1:
            yield f"the key {key} was answered with {sorted(runs)}"


def attempts_count(seen: Evidence) -> Violations:
    """P9: numbered 1..k without holes, k <= max_attempts; what a crash ended counts; dead-lettered once."""
    for run in seen.runs.values():
        numbers = [attempt["number"] for attempt in run["attempts"]]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"{run['id']} has the attempts {numbers}"
        if len(numbers) > seen.max_attempts:
            yield f"{run['id']} has {len(numbers)} attempts, allowed are {seen.max_attempts}"
        if run["state"] == "failed" and len(numbers) < seen.max_attempts and not deleted_meanwhile(seen, run):
            yield f"{run['id']} failed after {len(numbers)} of {seen.max_attempts} attempts: {run['reason']}"
        fences = [attempt["fence"] for attempt in run["attempts"]]
        if any(second <= first for first, second in pairwise(fences)):
            yield f"{run['id']} has the fences {fences}"
    for run_id, deliveries in by_run(seen).items():
        known = {(one["number"], one["fence"]) for one in seen.runs.get(run_id, {}).get("attempts", [])}
        for (attempt, fence), count in Counter((one.attempt, one.fence) for one in deliveries).items():
            if count > 1:
                yield f"{run_id} attempt {attempt} was delivered {count} times"
            running = seen.runs.get(run_id, {}).get("state") == "running"
            if (attempt, fence) not in known and not running:
                yield f"{run_id} attempt {attempt} with fence {fence} was delivered and is not recorded"
    failed = Counter(event.run for event in seen.events if event.type == "run.failed")
    for run_id, count in failed.items():
        if count > 1:
            yield f"{run_id} was dead-lettered {count} times"


def truthful(seen: Evidence) -> Violations:
    """P11: succeeded only if the receiver really answered so.

    The receiver's log ends where the reading of the runs began; a run that was read later may have gone on.
    """
    deliveries = by_run(seen)
    logged_until = seen.read_at - SETTLED_S
    for run in seen.runs.values():
        good = {one.attempt for one in deliveries[run["id"]] if one.behaviour == "good" and one.answered}
        for attempt in run["attempts"]:
            unheard = attempt["outcome"] == "succeeded" and attempt["number"] not in good
            at = attempt["started_at"]
            if unheard and (at is None or instant(at) < logged_until):
                yield f"{run['id']} attempt {attempt['number']} is recorded as succeeded, the receiver knows better"
        last = run["attempts"][-1]["outcome"] if run["attempts"] else None
        if (run["state"] == "succeeded") != (last == "succeeded") and run["state"] not in (
            "canceled",
            "running",
        ):
            yield f"{run['id']} is {run['state']}, its last attempt {last}"


def duplicates_explained(seen: Evidence) -> Violations:
    """P12: after a recorded success no delivery; before it, each further one follows a fault or a timeout."""
    for run_id, deliveries in by_run(seen).items():
        outcomes = {one["number"]: one for one in seen.runs.get(run_id, {}).get("attempts", [])}
        succeeded = [number for number, one in outcomes.items() if one["outcome"] == "succeeded"]
        for first, second in pairwise(deliveries):
            if succeeded and second.attempt > min(succeeded):
                yield f"{run_id} attempt {second.attempt} was delivered after attempt {min(succeeded)} had succeeded"
            elif not explained(seen, first, second, outcomes.get(first.attempt)):
                yield f"{run_id} attempt {second.attempt} has no reason: attempt {first.attempt} was {first.behaviour}"


def explained(seen: Evidence, first: Delivery, second: Delivery, recorded: Run | None) -> bool:
    if first.behaviour != "good":
        return True
    if recorded is None:
        return False
    if recorded["outcome"] == "lost":
        return killed_between(seen, first.time - 1.0, second.time)
    slow = recorded["response_time_ms"] or 0
    return recorded["outcome"] == "timed_out" and slow >= seen.timeout * 1000


def events_follow(seen: Evidence) -> Violations:
    """The event stream, resumed over every crash, repeats nothing and tells each end once."""
    for event_id, count in Counter(event.id for event in seen.events).items():
        if count > 1:
            yield f"the event {event_id} came {count} times"
    ends = Counter(
        event.run for event in seen.events if event.type.startswith("run.") and event.type.removeprefix("run.") in FINAL
    )
    for run in seen.runs.values():
        over = run["state"] in FINAL and run["finished_at"] and instant(run["finished_at"]) < seen.read_at - SETTLED_S
        if over and ends[run["id"]] != 1:
            yield f"{run['id']} is {run['state']} and its end was told {ends[run['id']]} times"


PROMISES: dict[str, Promise] = {
    "P1 complete": complete,
    "P2 never early": never_early,
    "P3 no phantom, no double": no_phantom_no_double,
    "P4 durable": durable,
    "P5 stop means stop": stop_means_stop,
    "P6 idempotent": idempotent,
    "P9 attempts": attempts_count,
    "P11 truthful": truthful,
    "P12 duplicates explained": duplicates_explained,
    "P18 on time again": on_time_again,
    "events follow": events_follow,
}
