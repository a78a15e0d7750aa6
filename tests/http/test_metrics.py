"""Metrics in the Prometheus text format."""

import re
from collections import defaultdict

from support.receiver import Receiver
from support.server import Server
from support.waiting import wait_for
from support.words import create_run, http_task, wait_final

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)')


def samples(server: Server) -> dict[str, dict[str, float]]:
    """The value of each series, by name and labels; fails on a line that is none."""
    answer = server.api.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for line in answer.text.splitlines():
        if line and not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, f"not a sample: {line!r}"
            name, labels, value = match.groups()
            assert (labels or "") not in found[name], f"twice: {line}"
            found[name][labels or ""] = float(value)
    return found


def histogram(server: Server, word: str) -> str:
    """The name of the one histogram family about `word`."""
    names = {name.removesuffix("_bucket") for name in samples(server) if name.endswith("_bucket")}
    found = [name for name in names if word in name]
    assert len(found) == 1, f"{word}: {found} of {sorted(names)}"
    return found[0]


def count(server: Server, name: str) -> float:
    return sum(samples(server)[f"{name}_count"].values())


def test_every_family_has_a_type_and_a_help_and_our_name(server: Server) -> None:
    text = server.api.get("/metrics").text
    typed = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    helped = set(re.findall(r"^# HELP (\S+)", text, re.MULTILINE))
    assert typed == helped
    assert len(re.findall(r"^# TYPE", text, re.MULTILINE)) == len(typed)
    for name in samples(server):
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        assert family in typed or name in typed, f"{name} has no TYPE"
        assert name.startswith(("punctual_", "process_")), name


def test_there_is_one_histogram_for_each_kind_of_time(server: Server) -> None:
    names = {histogram(server, word) for word in ("lateness", "response", "wait", "commit")}
    assert len(names) == 4


def test_a_histogram_adds_up(server: Server, receiver: Receiver) -> None:
    for _ in range(5):
        wait_final(server, create_run(server, http_task(receiver.url("/x")))["id"])
    found = samples(server)
    families = [name.removesuffix("_bucket") for name in found if name.endswith("_bucket")]
    assert "punctual_lateness_seconds" in families
    for family in families:
        name = f"{family}_bucket"
        by_labels: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for labels, value in found[name].items():
            bound = re.search(r'le="([^"]*)"', labels)
            assert bound, name
            rest = re.sub(r',?le="[^"]*"', "", labels).strip(",")
            by_labels[rest].append((float(bound[1].replace("+Inf", "inf")), value))
        for labels, buckets in by_labels.items():
            values = [value for _, value in sorted(buckets)]
            assert values == sorted(values), f"{family} does not grow"
            assert max(bound for bound, _ in buckets) == float("inf")
            assert values[-1] == found[f"{family}_count"][labels]
            assert found[f"{family}_sum"][labels] >= 0


def test_attempts_are_counted(server: Server, receiver: Receiver) -> None:
    lateness, response = histogram(server, "lateness"), histogram(server, "response")
    before = count(server, lateness), count(server, response)
    for _ in range(3):
        wait_final(server, create_run(server, http_task(receiver.url("/x")))["id"])
    wait_for(lambda: count(server, lateness) == before[0] + 3, "three more latenesses")
    assert count(server, response) == before[1] + 3
    assert count(server, histogram(server, "commit")) > 0
