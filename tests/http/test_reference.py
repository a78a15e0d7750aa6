"""The reference is whole: what the program knows is in it, and what is in it the program knows."""

import re
import subprocess

import pytest

from support.server import ROOT, Server, binary

CLI = (ROOT / "docs" / "reference" / "cli.md").read_text()
COMMON = {"--url", "--api-key-file", "--author", "--json", "--help"}
METRIC = re.compile(r"\bpunctual_[a-z_]+")


def help_of(*words: str) -> str:
    return subprocess.run([binary(), "help", *words], capture_output=True, text=True, timeout=30, check=True).stdout


def headings(page: str) -> list[str]:
    return re.findall(r"^## (\w+)$", page.partition("\n# A set of tasks")[0], re.MULTILINE)


def known_in(words: str) -> list[str]:
    """The fields that an error lists: "known are a, b, c"."""
    return re.search(r"known are ([\w, ]+)", words)[1].split(", ")


COMMANDS = re.findall(r"^  (\w+) ", help_of().partition("\ncommands\n")[2].partition("\n\n")[0], re.MULTILINE)


def sections_of(command: str) -> tuple[str, str]:
    """What the headings of a command say about it, and all that stands below them."""
    usages, texts = "", ""
    for section in re.split(r"^##+ ", CLI, flags=re.MULTILINE):
        heading, _, text = section.partition("\n")
        for usage in heading.split(" · "):  # two commands may share a heading
            if re.match(rf"punctual {command}\b", usage):
                usages, texts = usages + usage, texts + text
    return usages, texts


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("help", "serve")])
def test_every_command_is_there_with_its_options_and_no_other(command: str) -> None:
    usages, texts = sections_of(command)
    assert usages
    assert texts
    own = set(re.findall(r"^  (--[\w-]+)", help_of(command), re.MULTILINE)) - COMMON
    assert [option for option in own if option not in usages + texts] == []
    assert set(re.findall(r"--[\w-]+", usages)) - COMMON <= own


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("help", "serve", "next", "secret")])
def test_the_usage_of_a_command_shows_all_its_options(command: str) -> None:
    text = help_of(command)
    usage = text.partition("\nusage\n")[2].partition("\n\n")[0]
    own = re.findall(r"^  (--[\w-]+)", text, re.MULTILINE)
    assert [option for option in own if option not in COMMON and option not in usage] == []


def test_every_field_of_the_configuration_is_there_and_no_other(tmp_path) -> None:
    file = tmp_path / "server.yaml"
    file.write_text("unknown: 1\n")
    said = subprocess.run(
        [binary(), "serve", "--config", file], capture_output=True, text=True, timeout=30, check=False
    )
    assert said.returncode == 2
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    assert sorted(headings(page)) == sorted(known_in(said.stderr))


def test_every_field_of_a_task_is_there_and_no_other(shared_server: Server) -> None:
    answer = shared_server.api.put("/v1/tasks/x", json={"unknown": 1})
    said = next(error for error in answer.json()["errors"] if error["pointer"] == "/unknown")
    page = (ROOT / "docs" / "reference" / "task.md").read_text()
    assert sorted(headings(page)) == sorted(known_in(said["detail"]))


def test_every_metric_is_there_and_no_other(shared_server: Server) -> None:
    exposed = set(re.findall(r"^# TYPE (\w+)", shared_server.api.get("/metrics").text, re.MULTILINE))
    # Guides, too, name what begins so: modules and settings of the Python client.
    pages = [page for folder in ("operate", "reference") for page in (ROOT / "docs" / folder).glob("*.md")]
    named = {name for page in pages for name in METRIC.findall(page.read_text())}
    assert named - exposed == set()
    assert exposed - named == set()
