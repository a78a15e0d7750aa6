"""The shop's nights and days. The fixture `punctual` is the real server; `punctual.http` is the app."""

from datetime import datetime, timedelta, timezone

import pytest
from punctual.testing import TimeTravel

from shop.main import nightly_invoices

CUSTOMERS = 5


def test_the_shop_is_up(punctual: TimeTravel) -> None:
    assert punctual.http.get("/health").json() == {"ok": True}


def test_invoices_are_made_at_half_past_two_and_mailed_in_the_morning(punctual: TimeTravel) -> None:
    punctual.advance("4h")
    (night,) = punctual.runs(nightly_invoices)
    assert night.result == {"day": "2025-12-31", "made": CUSTOMERS}
    assert not any(invoice["sent"] for invoice in punctual.http.get("/invoices").json())
    punctual.advance("4h")
    invoices = punctual.http.get("/invoices").json()
    assert len(invoices) == CUSTOMERS
    assert all(invoice["sent"] for invoice in invoices)


def test_a_busy_mail_server_is_tried_again(punctual: TimeTravel) -> None:
    punctual.advance("8h")
    attempts = sorted(run.attempt_count for run in punctual.runs("send-invoice"))
    assert attempts == [1, 1, 1, 1, 2]


def test_a_repeated_run_makes_no_second_invoice(punctual: TimeTravel) -> None:
    punctual.advance("1d")
    again = punctual.trigger(nightly_invoices, {"day": "2025-12-31"})
    assert again.result == {"day": "2025-12-31", "made": 0}
    punctual.advance("1d")
    assert len(punctual.runs("send-invoice")) == CUSTOMERS


@pytest.mark.punctual(start="2026-03-28T00:00:00+01:00")
def test_the_night_of_summer_time_has_its_invoices(punctual: TimeTravel) -> None:
    punctual.advance(to="2026-03-31T00:00:00+02:00")
    punctual.assert_ran_at(
        "nightly-invoices",
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",  # half past two does not exist
        "2026-03-30T02:30:00+02:00",
        only=True,
    )


def test_an_invoice_that_is_not_there_fails_for_good(punctual: TimeTravel) -> None:
    run = punctual.trigger("send-invoice", {"invoice": 99})
    assert (run.state, run.attempt_count) == ("failed", 1)


def test_the_report_is_cold_first_and_warm_for_half_an_hour(punctual: TimeTravel) -> None:
    punctual.advance(to="2026-01-01T11:00:00+01:00")
    attempts = [run.attempts[0] for run in punctual.runs("warm-report")]
    assert [attempt.cache for attempt in attempts] == ["cold", "warm"] * 4 + ["cold"]
    assert {attempt.db_calls for attempt in attempts if attempt.cache == "cold"} == {1 + CUSTOMERS}
    assert {attempt.db_calls for attempt in attempts if attempt.cache == "warm"} == {0}


def test_the_shop_is_asked_how_it_is_all_day(punctual: TimeTravel) -> None:
    punctual.advance("1d")
    midnight = datetime(2026, 1, 1, tzinfo=timezone.utc)
    punctual.assert_ran_at(
        "health", *(midnight + timedelta(hours=hour) for hour in range(2, 25, 2)), only=True
    )
