"""Holds `punctual next --batch` against a second opinion: zoneinfo and a scan over minutes.

The oracle shares nothing with the program but the rule for daylight saving, written here in the plainest way: look at
every minute around a change of the clocks and ask whether its local time matches. It is slow and it is simple.
"""

import json
import os
import random
import subprocess
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

PUNCTUAL = os.environ.get("PUNCTUAL", "build/punctual")
MINUTE = timedelta(minutes=1)
AROUND = timedelta(hours=15)
FIRST_YEAR, LAST_YEAR = 2011, 2037

ZONES = [
    "Europe/Berlin",
    "Europe/Dublin",  # its summer time is the standard one in the file
    "America/New_York",
    "America/St_Johns",  # changed at 00:01 until 2011
    "America/Sao_Paulo",  # at midnight until 2019
    "America/Havana",  # at midnight
    "Asia/Beirut",  # at midnight
    "Africa/Casablanca",  # four changes a year, around Ramadan
    "Africa/Cairo",  # none for years, then again
    "Asia/Tehran",
    "Australia/Lord_Howe",  # half an hour
    "Antarctica/Troll",  # two hours
    "Pacific/Apia",  # had no 2011-12-30
    "Pacific/Chatham",  # 45 minutes beside the hour
]

# Begins its minute and its hour with something other than *: keeps to its local time.
FIXED = (
    """
30 2 * * *|0 2 * * *|0 3 * * *|59 1 * * *|0 0 * * *|15 0 * * *|1 0 * * *|30 23 * * *|0 1 * * *|30 1 * * *|45 2 * * *
0,30 2 * * *|0,15,30,45 2,3 * * *|0-59/20 0-5 * * *|0-59 2 * * *|0 0-23 * * *|15,45 0-23/2 * * *|30 2 * * SUN
30 2 29-31 * *|0 0 1 * *|0 12 * * MON-FRI|30 1 * 3,10,11 *|30 2 1-31/2 * SUN|0 2 8-14 * +SUN|0 0 ? 10 ?|0 0 30 12 *
0,30 30 2 * * *|59 59 1 * * *|0 30 1 * * * 2011-2037/3|@daily|@weekly|5-55/10 1-3 * 2-11 0,6,7
""".replace("\n", "|")
    .strip("|")
    .split("|")
)

# Begins one of them with *: follows elapsed time.
ELAPSED = (
    """
*/15 * * * *|0 * * * *|30 * * * *|*/20 2 * * *|0 */2 * * *|30 */3 * * SUN|7-57/10 *,3 * * *|@hourly|15 */30 * * * *
""".replace("\n", "|")
    .strip("|")
    .split("|")
)

EVERY_MINUTE = ["* * * * *", "*/1 0-23 * * *", "0-59 0-23 * * *"]

NICKNAMES = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0"}
NAMES = {name: n for n, name in enumerate("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)}
NAMES |= {name: n for n, name in enumerate("SUN MON TUE WED THU FRI SAT".split())}
RANGES = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7), (1970, 2199)]


class Pattern:
    def __init__(self, text):
        fields = NICKNAMES.get(text, text).split()
        if len(fields) == 5:
            fields.insert(0, "0")
        if len(fields) == 6:
            fields.append("*")
        self.both = fields[5].startswith("+")
        fields[5] = fields[5].lstrip("+")
        self.elapsed = fields[1][0] == "*" or fields[2][0] == "*"
        self.star = fields[3][0] in "*?" or fields[5][0] in "*?"
        sets = [self.values(field, *limits) for field, limits in zip(fields, RANGES, strict=True)]
        self.seconds, self.minutes, self.hours, self.days, self.months, self.weekdays, self.years = sets
        self.seconds = sorted(self.seconds)
        self.known = {}

    @staticmethod
    def values(field, least, most):
        found = set()
        for item in field.split(","):
            span, _, step = item.partition("/")
            low, _, high = (f"{least}-{most}" if span in "*?" else span).partition("-")
            low = NAMES.get(low) if low in NAMES else int(low)
            high = low if not high else NAMES.get(high) if high in NAMES else int(high)
            found |= set(range(low, high + 1, int(step or 1)))
        if most == 7:
            found = {n % 7 for n in found}
        return found

    def on_date(self, date):
        if date not in self.known:
            by_day, by_weekday = date.day in self.days, date.isoweekday() % 7 in self.weekdays
            days = by_day and by_weekday if self.star or self.both else by_day or by_weekday
            self.known[date] = days and date.month in self.months and date.year in self.years
        return self.known[date]

    def matches(self, local):
        return local.minute in self.minutes and local.hour in self.hours and self.on_date(local.date())


class Window:
    """Every minute from 15 hours before a change of the clocks to 15 hours after it."""

    def __init__(self, zone, change):
        self.start = change - AROUND
        self.zone = zone
        self.instants = [self.start + n * MINUTE for n in range(int(2 * AROUND / MINUTE))]
        self.end = self.instants[-1] + MINUTE
        self.locals = [t.astimezone(zone).replace(tzinfo=None) for t in self.instants]
        self.first = {}
        for n, local in enumerate(self.locals):
            self.first.setdefault(local, n)
        self.missing = []  # (a local time that no clock shows, the first instant after its gap)
        for n in range(1, len(self.locals)):
            local = self.locals[n - 1] + MINUTE
            while local < self.locals[n]:
                if local not in self.first:
                    self.missing.append((local, n))
                local += MINUTE
        self.hours = {}  # (date, hour) of local time: the minutes that show it
        for n, local in enumerate(self.locals):
            self.hours.setdefault((local.date(), local.hour), []).append(n)

    def occurrences(self, pattern, gap, overlap):
        found = set()
        for (date, hour), minutes in self.hours.items():
            if hour in pattern.hours and pattern.on_date(date):
                for n in minutes:
                    local = self.locals[n]
                    if local.minute not in pattern.minutes:
                        continue
                    if pattern.elapsed or overlap == "both" or self.first[local] == n:
                        found |= {self.instants[n] + timedelta(seconds=s) for s in pattern.seconds}
        if not pattern.elapsed and gap == "run":
            found |= {self.instants[n] for local, n in self.missing if pattern.matches(local)}
        return sorted(found)


def changes(zone):
    t, step = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC), timedelta(hours=6)
    offset = t.astimezone(zone).utcoffset()
    while t.year <= LAST_YEAR:
        later = t + step
        if later.astimezone(zone).utcoffset() != offset:
            low, high = t, later
            while high - low > MINUTE:
                middle = low + (high - low) // 2 // MINUTE * MINUTE
                if middle.astimezone(zone).utcoffset() == offset:
                    low = middle
                else:
                    high = middle
            yield high
            offset = later.astimezone(zone).utcoffset()
        t = later


def ask(questions):
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    done = subprocess.run([PUNCTUAL, "next", "--batch"], input=lines, text=True, capture_output=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(questions)
    return answers


def cases(zone):
    chance = random.Random(str(zone))
    for number, change in enumerate(changes(zone)):
        window = Window(zone, change)
        for text in FIXED + ELAPSED + (EVERY_MINUTE if number % 12 == 0 else []):
            rules = [("run", "first")]
            if text in FIXED and number % 3 == 0:
                rules += [("skip", "first"), ("run", "both")]
            for rule in rules:
                yield window, text, rule, window.start - timedelta(seconds=1)
            # What comes next does not depend on where the question begins.
            yield window, text, rules[-1], window.start + timedelta(seconds=chance.randrange(30 * 3600))


@pytest.mark.parametrize("name", ZONES)
def test_the_next_times_are_those_that_a_scan_over_minutes_finds(name):
    zone = ZoneInfo(name)
    patterns = {text: Pattern(text) for text in FIXED + ELAPSED + EVERY_MINUTE}
    questions, expected = [], []
    memory = {}
    for window, text, (gap, overlap), start in cases(zone):
        key = (window, text, gap, overlap)
        if key not in memory:
            memory[key] = window.occurrences(patterns[text], gap, overlap)
        found = [t for t in memory[key] if t > start]
        expected.append((window, [t.astimezone(zone).isoformat() for t in found]))
        questions.append(
            {
                "cron": text,
                "timezone": name,
                "from": start.isoformat(),
                "count": len(found) + 1,
                "dst_gap": gap,
                "dst_overlap": overlap,
            }
        )
    assert len(questions) > 100
    for question, (window, wanted), answer in zip(questions, expected, ask(questions), strict=True):
        got = answer["next"]
        assert got[: len(wanted)] == wanted, question
        assert all(datetime.fromisoformat(t) >= window.end for t in got[len(wanted) :]), (question, got)


def test_a_wrong_line_is_answered_and_the_next_ones_too():
    answers = ask(
        [
            {"cron": "60 * * * *"},
            {"cron": "0 0 * * *", "timezone": "Europe/Berlin", "from": "2026-01-01T00:00:00Z", "count": 2},
            {"cron": "0 0 * * *", "timezone": "Europe/berlin"},
            {"cron": "0 0 * * *", "zone": "UTC"},
            {"cron": "0 0 * * *", "count": 0},
            [],
            {"cron": "@every 90m", "from": "2026-01-01T00:00:00Z"},
        ]
    )
    assert "0-59" in answers[0]["error"]
    assert answers[1] == {"next": ["2026-01-02T00:00:00+01:00", "2026-01-03T00:00:00+01:00"]}
    assert "Europe/Berlin" in answers[2]["error"]
    assert answers[3]["error"].startswith("zone:")
    assert answers[4]["error"].startswith("count:")
    assert "object" in answers[5]["error"]
    assert answers[6] == {"next": ["2026-01-01T01:30:00+00:00"]}


def test_an_answer_comes_while_the_input_stays_open():
    with subprocess.Popen([PUNCTUAL, "next", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        for _ in range(3):
            program.stdin.write(b'{"cron": "0 0 1 1 *", "from": "2026-06-01T00:00:00Z"}\n')
            program.stdin.flush()
            assert json.loads(program.stdout.readline()) == {"next": ["2027-01-01T00:00:00+00:00"]}
        program.stdin.write(b"x" * 200_000 + b"\n")
        program.stdin.write(b'{"cron": "0 0 1 1 *", "from": "2026-06-01T00:00:00Z"}')
        program.stdin.close()
        assert "longer than" in json.loads(program.stdout.readline())["error"]
        assert json.loads(program.stdout.readline()) == {"next": ["2027-01-01T00:00:00+00:00"]}
        assert program.wait() == 0


def run(*arguments):
    return subprocess.run([PUNCTUAL, "next", *arguments], text=True, capture_output=True, check=False)


def test_a_person_reads_the_instant_the_weekday_and_the_rule_that_applied():
    done = run("30 2 * * *", "--timezone", "Europe/Berlin", "--from", "2026-03-28T12:00:00+01:00", "--count", "2")
    first, second = done.stdout.splitlines()
    assert done.returncode == 0
    assert first.startswith("2026-03-29T03:00:00+02:00  Sun  the clock jumps over its local time")
    assert second == "2026-03-30T02:30:00+02:00  Mon"


def test_json_says_what_was_skipped():
    options = ["--timezone=Europe/Berlin", "--from=2026-03-28T12:00:00Z", "--count=1", "--dst-gap=skip", "--json"]
    done = run("30 2 * * *", *options)
    answer = json.loads(done.stdout)
    assert answer["timezone"] == "Europe/Berlin"
    assert [(row["at"], row["skipped"]) for row in answer["next"]] == [("2026-03-29T03:00:00+02:00", True)]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["0/15 * * * *"], 1, "write 0-59/15"),
        (["@daily", "--timezone", "Berlin"], 1, "Europe/Berlin"),
        (["@daily", "--dst-gap", "x"], 1, '"run" or "skip"'),
        ([b"\xff\xfe * * * *"], 1, "cron"),
        (["@daily", "--from", "tomorrow"], 2, "--from is an instant"),
        (["@daily", "--count", "0"], 2, "--count is a number"),
        (["@daily", "--colour"], 2, "--colour is not an option"),
        (["@daily", "--count"], 2, "--count needs a value"),
        (["30", "2", "*", "*", "*"], 2, "in quotes"),
        ([], 2, "which expression?"),
        (["--batch", "@daily"], 2, "standard input"),
    ],
)
def test_what_is_wrong_is_said_and_shows_in_the_exit_code(arguments, code, says):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr


def test_help_has_examples():
    done = run("--help")
    assert done.returncode == 0
    assert "Examples:" in done.stdout
