"""When a simple cron expression fires, by Python's zoneinfo and a scan. Shares no code with the server.

Five fields of *, numbers, ranges, lists and steps; day of month and day of week not both restricted.
The rule for daylight saving is the design's: times that are fixed and fall into a gap become one
occurrence at its end, those that come twice run in the first pass (or both); where the minute or hour
field begins with *, elapsed time rules.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


def field(text: str, low: int, high: int) -> set[int]:
    values: set[int] = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        if span == "*":
            first, last = low, high
        elif "-" in span:
            first, last = (int(end) for end in span.split("-"))
        else:
            first = last = int(span)
        values.update(range(first, last + 1, int(step or 1)))
    return values


class Cron:
    def __init__(self, expression: str) -> None:
        minute, hour, day, month, weekday = expression.split()
        self.minutes, self.hours = field(minute, 0, 59), field(hour, 0, 23)
        self.days, self.months = field(day, 1, 31), field(month, 1, 12)
        self.weekdays = {number % 7 for number in field(weekday, 0, 7)}
        self.elapsed = minute.startswith("*") or hour.startswith("*")

    def on(self, day: date) -> bool:
        return day.day in self.days and day.month in self.months and day.isoweekday() % 7 in self.weekdays


def exists(local: datetime, zone: ZoneInfo) -> bool:
    aware = local.replace(tzinfo=zone)
    return aware.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local


def comes_twice(local: datetime, zone: ZoneInfo) -> bool:
    first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    return exists(local, zone) and first.utcoffset() != second.utcoffset()


def gap_end(local: datetime, zone: ZoneInfo) -> datetime:
    """The first instant after the gap that `local` falls into, by stepping to where it exists."""
    while not exists(local, zone):
        local += MINUTE
    # The first local time after a gap may itself come twice only in zones nobody has.
    return local.replace(tzinfo=zone).astimezone(UTC)


def fixed(cron: Cron, zone: ZoneInfo, local: datetime, gap: str, overlap: str) -> list[datetime]:
    if not exists(local, zone):
        return [gap_end(local, zone)] if gap == "run" else []
    passes = [local.replace(tzinfo=zone, fold=0).astimezone(UTC)]
    if overlap == "both" and comes_twice(local, zone):
        passes.append(local.replace(tzinfo=zone, fold=1).astimezone(UTC))
    return passes


def local_days(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[date]:
    day = start.astimezone(zone).date() - timedelta(days=2)
    while day <= end.astimezone(zone).date() + timedelta(days=2):
        yield day
        day += timedelta(days=1)


def occurrences(
    expression: str, zone_name: str, start: datetime, end: datetime, gap: str = "run", overlap: str = "first"
) -> list[datetime]:
    """All instants (UTC) with start < instant < end."""
    cron, zone = Cron(expression), ZoneInfo(zone_name)
    found: set[datetime] = set()
    if cron.elapsed:
        instant = start.replace(second=0, microsecond=0)
        while instant < end:
            local = instant.astimezone(zone)
            if local.minute in cron.minutes and local.hour in cron.hours and cron.on(local.date()):
                found.add(instant)
            instant += MINUTE
    else:
        for day in local_days(zone, start, end):
            if cron.on(day):
                for hour in cron.hours:
                    for minute in cron.minutes:
                        local = datetime(day.year, day.month, day.day, hour, minute)
                        found.update(fixed(cron, zone, local, gap, overlap))
    return sorted(instant for instant in found if start < instant < end)
