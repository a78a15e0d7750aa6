"""Bugs planted in the evidence: the checker is trusted only after it has caught them.

Each function makes the evidence look as a client or server with that bug would have left it. False: there was
nothing to plant it in, which counts as a failure of the test.
"""

import copy
import pickle
from collections.abc import Callable, Iterator

from evidence import TICKS, Evidence, Execution, Run, by_run, mark_of
from promises import PROMISES, why

from support.waiting import timestamp

PART = 1500  # runs

Bug = Callable[[Evidence], bool]


def a_success(seen: Evidence) -> tuple[Run, Execution] | None:
    """A run that was asked for and has succeeded at its first attempt, far from any blow."""
    for run_id, executions in by_run(seen).items():
        run, one = seen.runs[run_id], executions[0]
        alone = len(executions) == 1 and len(run["attempts"]) == 1 and one.how == "done"
        if not alone or not mark_of(run):
            continue
        if not why(seen, one.pid, one.began - 1, one.began + 1, run["task"]):
            return run, one
    return None


def soon_after(one: Execution) -> Execution:
    """The next attempt of the same run in another process, at once."""
    began = (one.ended or one.began) + 0.001
    return Execution(one.run, one.attempt + 1, one.fence + 1, one.pid + 100_000, began, began, "done")


def remove(seen: Evidence, run: str) -> None:
    del seen.runs[run]
    seen.executions = [one for one in seen.executions if one.run != run]


def record(run: Run, one: Execution, outcome: str) -> None:
    more = {"number": one.attempt, "fence": one.fence, "outcome": outcome, "started_at": timestamp(one.began)}
    run["attempts"].append({**run["attempts"][-1], **more})


# --- the bugs ---


def an_acknowledged_run_is_lost(seen: Evidence) -> bool:
    found = a_success(seen)
    if found:
        remove(seen, found[0]["id"])
    return bool(found)


def a_run_is_given_up_too_early(seen: Evidence) -> bool:
    found = a_success(seen)
    if found:
        found[0].update(state="failed", reason="max_attempts")
        found[0]["attempts"][-1]["outcome"] = "broken"
    return bool(found)


def a_run_hangs(seen: Evidence) -> bool:
    found = a_success(seen)
    if found:
        found[0]["state"] = "running"
    return bool(found)


def an_ask_that_was_sent_again_makes_two(seen: Evidence) -> bool:
    again = next((ask for ask in seen.asks if ask.unknown), None)
    if again:
        other = copy.deepcopy(seen.runs[again.run]) | {"id": "run_planted000001", "attempts": []}
        seen.runs[other["id"]] = other
    return bool(again)


def a_run_that_nobody_asked_for(seen: Evidence) -> bool:
    found = a_success(seen)
    if found:
        other = copy.deepcopy(found[0]) | {"id": "run_planted000002"}
        other["payload"]["mark"] = "phantom"
        seen.runs[other["id"]] = other
    return bool(found)


def an_answer_names_another_run(seen: Evidence) -> bool:
    first, second = seen.asks[0], seen.asks[1]
    first.run, second.run = second.run, first.run
    return True


def a_tick(seen: Evidence) -> Run | None:
    """Neither the first nor the last, which no other one misses."""
    ticks = sorted(
        (run for run in seen.runs.values() if run["task"] == TICKS[0]), key=lambda run: run["scheduled_for"]
    )
    return ticks[len(ticks) // 2] if len(ticks) > 2 else None


def an_occurrence_is_lost(seen: Evidence) -> bool:
    run = a_tick(seen)
    if run:
        remove(seen, run["id"])
    return bool(run)


def an_occurrence_comes_twice(seen: Evidence) -> bool:
    run = a_tick(seen)
    if run:
        seen.runs["run_planted000003"] = copy.deepcopy(run) | {"id": "run_planted000003"}
    return bool(run)


def two_replicas_apply_against_each_other(seen: Evidence) -> bool:
    seen.revisions[TICKS[0]] += 1
    return True


def two_workers_get_one_attempt(seen: Evidence) -> bool:
    found = a_success(seen)
    if found:
        seen.executions.append(copy.copy(found[1]))
        seen.executions[-1].pid += 100_000
    return bool(found)


def an_attempt_is_not_recorded(seen: Evidence) -> bool:
    found = a_success(seen)
    if found:
        seen.executions.append(soon_after(found[1]))
    return bool(found)


def a_run_that_the_server_forgot_is_executed(seen: Evidence) -> bool:
    found = a_success(seen)
    if found:
        seen.executions.append(copy.copy(found[1]))
        seen.executions[-1].run = "run_planted000004"
    return bool(found)


def attempts_have_a_hole(seen: Evidence) -> bool:
    run = next((run for run in seen.runs.values() if len(run["attempts"]) > 1), None)
    if run:
        del run["attempts"][0]
    return bool(run)


def a_worker_begins_before_the_lease_is_on_the_disk(seen: Evidence) -> bool:
    found = a_success(seen)
    if found:
        found[1].began -= 0.5
    return bool(found)


def a_fence_stands_still(seen: Evidence) -> bool:
    run = next((run for run in seen.runs.values() if len(run["attempts"]) > 1), None)
    if run:
        run["attempts"][1]["fence"] = run["attempts"][0]["fence"]
    return bool(run)


def a_success_that_no_process_reached(seen: Evidence) -> bool:
    """As a worker that reports before the work is done."""
    found = a_success(seen)
    if found:
        found[1].ended, found[1].how = None, ""
    return bool(found)


def a_report_with_an_old_fence_counts(seen: Evidence) -> bool:
    """The result is that of the attempt before, whose lease had ended."""
    found = a_success(seen)
    if found:
        found[0]["result"]["fence"] -= 1
    return bool(found)


def results_are_mixed_up(seen: Evidence) -> bool:
    found = a_success(seen)
    if found:
        found[0]["result"] = {**found[0]["result"], "mark": "of another run"}
    return bool(found)


def a_failure_counts_as_success(seen: Evidence) -> bool:
    run = next((run for run in seen.runs.values() if run["state"] == "failed"), None)
    if run:
        run["state"] = "succeeded"
    return bool(run)


def a_run_is_executed_after_its_success(seen: Evidence) -> bool:
    found = a_success(seen)
    if found:
        run, one = found
        again = soon_after(one)
        seen.executions.append(again)
        record(run, again, "succeeded")
    return bool(found)


def a_run_is_executed_twice_for_no_reason(seen: Evidence) -> bool:
    """As a worker that loses a run it has done, though nobody hit it."""
    found = a_success(seen)
    if found:
        run, one = found
        again = soon_after(one)
        run["attempts"][-1]["outcome"] = "lost"
        record(run, again, "succeeded")
        run["result"] = {**run["result"], "pid": again.pid, "fence": again.fence}
        seen.executions.append(again)
    return bool(found)


def work_that_was_done_is_reported_as_failed(seen: Evidence) -> bool:
    found = a_success(seen)
    if found:
        run, one = found
        again = soon_after(one)
        run["attempts"][-1]["outcome"] = "failed"
        record(run, again, "succeeded")
        run["result"] = {**run["result"], "pid": again.pid, "fence": again.fence}
        seen.executions.append(again)
    return bool(found)


BUGS: dict[Bug, str] = {
    an_acknowledged_run_is_lost: "nothing is lost",
    a_run_is_given_up_too_early: "nothing is lost",
    a_run_hangs: "nothing is lost",
    an_ask_that_was_sent_again_makes_two: "nothing is made twice",
    a_run_that_nobody_asked_for: "nothing is made twice",
    an_answer_names_another_run: "nothing is made twice",
    an_occurrence_is_lost: "every second has its tick",
    an_occurrence_comes_twice: "every second has its tick",
    two_replicas_apply_against_each_other: "tasks are applied once",
    two_workers_get_one_attempt: "an attempt is executed once",
    an_attempt_is_not_recorded: "an attempt is executed once",
    a_run_that_the_server_forgot_is_executed: "an attempt is executed once",
    attempts_have_a_hole: "attempts are in order",
    a_worker_begins_before_the_lease_is_on_the_disk: "attempts are in order",
    a_fence_stands_still: "attempts are in order",
    a_success_that_no_process_reached: "a success is true",
    a_report_with_an_old_fence_counts: "a success is true",
    results_are_mixed_up: "a success is true",
    a_failure_counts_as_success: "a success is true",
    a_run_is_executed_after_its_success: "duplicates are explained",
    a_run_is_executed_twice_for_no_reason: "duplicates are explained",
    work_that_was_done_is_reported_as_failed: "duplicates are explained",
}


def part_of(seen: Evidence) -> Evidence:
    """Enough to plant every bug in: looking through all of ten thousand runs for each would take long."""
    asks = seen.asks[:PART] + [ask for ask in seen.asks[PART:] if ask.unknown]
    wanted = {ask.run for ask in asks} | {run for run, one in seen.runs.items() if one["task"] in TICKS}
    return Evidence(
        asks=asks,
        executions=[one for one in seen.executions if one.run in wanted],
        blows=seen.blows,
        runs={run: one for run, one in seen.runs.items() if run in wanted},
        revisions=seen.revisions,
    )


def examine(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Plants each bug in a copy of the evidence. Yields its name and "" when it was caught, else why not."""
    seen = part_of(evidence)
    clean = {name: set(promise(seen)) for name, promise in PROMISES.items()}
    whole = pickle.dumps(seen)  # much faster than copy.deepcopy
    for bug, promise in BUGS.items():
        name = bug.__name__.replace("_", " ")
        ill = pickle.loads(whole)
        if not bug(ill):
            yield name, "there is nothing to plant it in"
        elif not set(PROMISES[promise](ill)) - clean[promise]:
            yield name, f"'{promise}' did not notice"
        else:
            yield name, ""


assert set(BUGS.values()) == set(PROMISES)
