"""What must hold after any blow, decided from the evidence. Each promise yields what breaks it, in words."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from evidence import (
    APP_TASKS,
    LEASE_S,
    TASKS,
    TICKS,
    TIMEOUT_S,
    Blow,
    Evidence,
    Run,
    by_run,
    mark_of,
    plan_of,
)

from support.waiting import instant

FINAL_OF = {"fail": "failed"}  # by plan; all others succeed
CLOCK_S = 0.002  # the server's instants are cut to milliseconds, and may be read a little later
UNKNOWN = {"lost", "broken", "timed_out"}  # outcomes of which nobody knows what was done


def nothing_is_lost(seen: Evidence) -> Iterator[str]:
    """What a client was told is there has ended as it must; so has every occurrence of a schedule."""
    for ask in seen.asks:
        if not ask.run:
            yield f"{ask.mark} was never acknowledged"
        elif ask.run not in seen.runs:
            yield f"{ask.mark}: {ask.run} was acknowledged and is not there"
    for run in seen.runs.values():
        wanted = FINAL_OF.get(plan_of(run), "succeeded")
        if run["state"] != wanted and not (run["task"] in TICKS and may_not_run(run)):
            yield f"{name_of(run)} is {run['state']} and not {wanted}: {run['reason']}"


def may_not_run(tick: Run) -> bool:
    """Its time came while the server was away, or when the schedule was paused at the end."""
    held = tick["state"] in ("skipped", "due") and "paused" in (tick["reason"] or "")
    return held or tick["state"] == "missed"


def nothing_is_made_twice(seen: Evidence) -> Iterator[str]:
    """One run for each mark, however often it was asked for; and no run that nobody asked for."""
    asked = {ask.mark: ask for ask in seen.asks}
    made = defaultdict(list)
    for run in seen.runs.values():
        mark = mark_of(run)
        if run["task"] not in TASKS or (mark is None and run["task"] not in TICKS):
            yield f"{name_of(run)} was asked for by nobody"
        elif mark is not None:
            made[mark].append(run)
    for mark, runs in made.items():
        ask = asked.get(mark)
        if ask is None:
            yield f"{name_of(runs[0])} has the mark {mark}, which nobody gave"
        elif len(runs) > 1:
            yield f"{mark} has {len(runs)} runs: {', '.join(run['id'] for run in runs)}"
        elif ask.run and (runs[0]["id"], runs[0]["task"]) != (ask.run, ask.task):
            yield f"{mark} was acknowledged as {ask.run} of {ask.task}; it is {name_of(runs[0])}"
    for run in seen.listed_twice:
        yield f"{run} is listed twice"


def every_second_has_its_tick(seen: Evidence) -> Iterator[str]:
    """Schedules of one second, while processes apply them anew and the server dies: no hole, no double."""
    for task in TICKS:
        at = sorted(round(instant(run["scheduled_for"])) for run in seen.runs.values() if run["task"] == task)
        if not at:
            yield f"{task} never came"
        for first, second in pairwise(at):
            if second != first + 1:
                yield f"{task}: {second - first} s between two occurrences, at {first}"


def tasks_are_applied_once(seen: Evidence) -> Iterator[str]:
    """Every process applies the same definitions when it starts: one revision, and the ticks' pause."""
    for task in TASKS:
        wanted = 2 if task in TICKS else 1
        if seen.revisions.get(task) != wanted:
            yield f"{task} has {seen.revisions.get(task)} revisions, not {wanted}"


def an_attempt_is_executed_once(seen: Evidence) -> Iterator[str]:
    """No two processes, and no process twice, get the same attempt; and each is in the record."""
    for run, executions in by_run(seen).items():
        if run not in seen.runs:
            yield f"{run} was executed and is not there"
            continue
        for (attempt, fence), count in Counter((one.attempt, one.fence) for one in executions).items():
            if count > 1:
                yield f"{run}: attempt {attempt} with fence {fence} was executed {count} times"
            if (attempt, fence) not in {(one["number"], one["fence"]) for one in seen.runs[run]["attempts"]}:
                yield f"{run}: attempt {attempt} with fence {fence} was executed and is not recorded"


def attempts_are_in_order(seen: Evidence) -> Iterator[str]:
    """Numbered from 1 without holes, with fences that grow; none is executed before the server began it.

    Executions may come in another order: a delivery that the server has given up may still lie in the socket
    of an app that was busy.
    """
    executed = by_run(seen)
    for run in seen.runs.values():
        numbers = [attempt["number"] for attempt in run["attempts"]]
        fences = [attempt["fence"] for attempt in run["attempts"]]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"{name_of(run)} has the attempts {numbers}"
        if any(second <= first for first, second in pairwise(fences)):
            yield f"{name_of(run)} has the fences {fences}"
        started = {attempt["fence"]: instant(attempt["started_at"]) for attempt in run["attempts"]}
        for one in executed.get(run["id"], []):
            if one.began < started.get(one.fence, 0.0) - CLOCK_S:
                yield f"{name_of(run)}: attempt {one.attempt} was executed before it began"


def a_success_is_true(seen: Evidence) -> Iterator[str]:
    """Only the last attempt succeeds; it was executed to its end, and the result is what it returned."""
    executed = by_run(seen)
    for run in seen.runs.values():
        good = [attempt for attempt in run["attempts"] if attempt["outcome"] == "succeeded"]
        if (
            bool(good) != (run["state"] == "succeeded")
            or len(good) > 1
            or (good and good[0] != run["attempts"][-1])
        ):
            yield f"{name_of(run)} is {run['state']} with {[one['outcome'] for one in run['attempts']]}"
        if not good:
            continue
        fence = good[0]["fence"]
        done = [one for one in executed.get(run["id"], []) if one.fence == fence and one.how == "done"]
        if not done:
            yield f"{name_of(run)} has succeeded, and no process did it"
        elif run["result"] != {"mark": mark_of(run), "pid": done[0].pid, "fence": fence}:
            yield f"{name_of(run)} has the result {run['result']}, and {done[0]} did it"


def duplicates_are_explained(seen: Evidence) -> Iterator[str]:
    """After an execution there is a further attempt only where it failed, or where nobody knew its outcome.

    Nobody knew it: between the beginnings of the two attempts the server was hit, or the process that
    executed the first, or the first took all of its time. And never after a success.
    """
    for run, executions in by_run(seen).items():
        attempts = seen.runs[run]["attempts"] if run in seen.runs else []
        for one in executions:
            at = next((at for at, attempt in enumerate(attempts) if attempt["fence"] == one.fence), None)
            if at is None or at + 1 == len(attempts):
                continue
            outcome = attempts[at]["outcome"]
            span = instant(attempts[at]["started_at"]), instant(attempts[at + 1]["started_at"])
            how = f"{run}: attempt {one.attempt} {one.how or 'was cut off'}, recorded as {outcome}"
            if outcome == "succeeded":
                yield f"{how}, and there was another one"
            elif one.how != "raised" and outcome not in UNKNOWN:
                yield how
            elif one.how != "raised" and not why(seen, one.pid, *span, seen.runs[run]["task"]):
                yield f"{how}; {span[1] - span[0]:.3f} s later the next one began, and nothing explains it"


def why(seen: Evidence, pid: int, began: float, over: float, task: str) -> Blow | str | None:
    """What makes the outcome of an attempt unknown that this process executed in that span."""
    for blow in seen.blows:
        if (blow.what == "server" or blow.pid == pid) and began <= blow.over and blow.at <= over:
            return blow
    limit = TIMEOUT_S if task in (*APP_TASKS, "app-tick") else LEASE_S
    return "it took all of its time" if over - began >= limit else None


def name_of(run: Run) -> str:
    return f"{run['id']} ({run['task']}, {mark_of(run) or run['scheduled_for']})"


Promise = Callable[[Evidence], Iterator[str]]

PROMISES: dict[str, Promise] = {
    promise.__name__.replace("_", " "): promise
    for promise in (
        nothing_is_lost,
        nothing_is_made_twice,
        every_second_has_its_tick,
        tasks_are_applied_once,
        an_attempt_is_executed_once,
        attempts_are_in_order,
        a_success_is_true,
        duplicates_are_explained,
    )
}
