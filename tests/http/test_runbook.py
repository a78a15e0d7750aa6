"""The runbook is kept with each revision and shown where one looks for it."""

from support.receiver import Answer, Receiver
from support.server import Server
from support.words import all_of, create_run, get_task, http_task, put_task, wait_final

RUNBOOK = {
    "owner": "billing@example.com",
    "expected_input": "kind is daily or monthly",
    "expected_result": "one invoice per customer with usage",
    "rollback": "punctual rollback nightly-invoices, then void the invoices of the day",
    "noticed_at": "the invoices page of the customer portal",
}


def test_a_runbook_is_stored_with_each_revision(server: Server) -> None:
    put_task(server, "invoices", http_task("http://127.0.0.1:9/", runbook=RUNBOOK))
    put_task(server, "invoices", http_task("http://127.0.0.1:9/", runbook={**RUNBOOK, "owner": "ops@example.com"}))
    assert get_task(server, "invoices")["definition"]["runbook"]["owner"] == "ops@example.com"
    newest, first = all_of(server, "/v1/tasks/invoices/revisions", "revisions")
    assert first["definition"]["runbook"] == RUNBOOK
    assert [change["field"] for change in newest["changed"]] == ["/runbook/owner"]


def test_the_command_line_shows_it_beside_the_figures(server: Server, receiver: Receiver) -> None:
    receiver.script("/x", Answer(), Answer(status=500), Answer())
    definition = http_task(receiver.url("/x"), runbook=RUNBOOK, schedule={"cron": "30 2 * * *"})
    put_task(server, "invoices", definition)
    runs = [create_run(server, {"task": "invoices"})["id"] for _ in range(3)]
    for run in runs:
        wait_final(server, run)
    shown = server.cli("task", "invoices")
    assert shown.returncode == 0, shown.stderr
    words = " ".join(shown.stdout.split())
    for text in (RUNBOOK["owner"], RUNBOOK["expected_input"], "30 2 * * *", *runs):
        assert text in words, f"{text!r} is missing in:\n{shown.stdout}"
    assert "p50" in words
    assert "p95" in words
    assert "%" in words
    assert "\x1b" not in shown.stdout, "colours without a terminal"


def test_the_command_line_gives_the_same_as_json(server: Server) -> None:
    put_task(server, "invoices", http_task("http://127.0.0.1:9/", runbook=RUNBOOK))
    shown = server.cli("task", "invoices", "--json")
    assert shown.returncode == 0, shown.stderr
    for text in RUNBOOK.values():
        assert text in shown.stdout


def test_the_command_line_says_when_there_is_no_such_task(server: Server) -> None:
    shown = server.cli("task", "nobody")
    assert shown.returncode != 0
    assert "nobody" in shown.stderr
