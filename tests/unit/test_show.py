"""Words, tables and plots: what a value looks like, and that nothing is cut, coloured or drawn too wide."""

from __future__ import annotations

import io
import re
import shlex
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Final

import msgspec
import pytest

from etl.commands import show
from etl.commands.oneshot import Lines
from etl.commands.queries import Answer
from etl.commands.queries.gaps import Gap
from etl.commands.queries.history import BatchHistory, BatchNow, Day, JobNow, ProjectHistory, State
from etl.commands.queries.past import BatchThen, Past, Stand
from etl.commands.queries.status import Backlog, ProjectStatus, Status
from etl.commands.show.history import life
from etl.commands.show.past import past
from etl.commands.show.plots import days_plot, share_bar, sparkline
from etl.commands.show.status import status, suspect_remedy, troubles
from etl.guard import Rule
from etl.records import Slug, Verdict
from etl.report import ProjectReport

NOON: Final = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_day(nth: int, images: int, *, is_observed: bool = True) -> Day:
    return Day(
        day=date(2026, 11, 1) + timedelta(days=nth),
        batches=1,
        images=images,
        num_jobs=0,
        images_delta=0,
        num_jobs_delta=0,
        is_observed=is_observed,
    )


def plot(*days: Day, columns: int = 100) -> list[str]:
    stream = Terminal()
    console = show.console(stream, {"COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"})
    days_plot(console, days, "images")
    _, *drawn, blank = stream.getvalue().splitlines()
    assert blank == ""
    return drawn


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "0 s"),
        (0.9, "0 s"),
        (119.9, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 d"),
        (8_640_000, "100 d"),
    ],
)
def test_a_duration_is_told_in_the_largest_unit_of_which_there_are_two(seconds: float, told: str) -> None:
    assert show.duration(seconds) == told


def test_a_moment_is_told_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    assert show.moment(datetime(2026, 11, 20, 0, 30, tzinfo=berlin)) == "2026-11-19 23:30:00"
    assert show.moment(None) == ""


def test_a_difference_has_its_sign() -> None:
    assert [show.signed(count) for count in (3, 0, -3)] == ["+3", "0", "-3"]


def test_each_rule_of_the_guard_is_told_in_words() -> None:
    for rule in Rule:
        assert show.suspicion(rule) != rule.value
    assert show.suspicion("anything else") == "anything else"


def test_a_pipe_gets_whole_lines_however_long() -> None:
    stream = io.StringIO()
    long = "x" * 5000
    show.answer(show.console(stream, {}), Answer(("a", "b"), ((long, None), (NOON, 1))))
    assert stream.getvalue() == (f"{'a':5000}  b\n{long}\n2026-11-20 12:00:00{' ' * 4981}  1\n")


def test_a_terminal_gets_no_line_that_is_wider_than_it_is() -> None:
    stream = Terminal()
    console = show.console(stream, {"COLUMNS": "60", "TERM": "xterm", "NO_COLOR": "1"})
    show.answer(console, Answer(("a", "b"), (("x" * 200, "y" * 200),)))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()
    assert max(map(len, lines)) <= 60
    assert "".join(lines).count("x") == 200


def test_a_terminal_of_eighty_columns_keeps_ids_whole_to_be_copied() -> None:
    stream = Terminal()
    console = show.console(stream, {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"})
    batch_id = "6VN0fFQIWU1E24bDjGsN"
    then = BatchThen(
        batch_id=batch_id,
        name="Uploaded on 11/20/26 at 12:00 pm",
        images=1_000_000,
        num_jobs=100,
        uploaded_at=NOON,
        changed_at=NOON,
        knowledge="observed",
        observed_before=NOON,
        observed_after=NOON,
    )
    totals = Stand(
        at=NOON,
        batches=1,
        images=1,
        num_jobs=0,
        knowledge="observed",
        observed_before=NOON,
        observed_after=None,
        gap=None,
    )
    found = Past(at=NOON, workspace="acme", project="cars", batch_id=None, totals=totals, batches=(then,))
    past(console, found)
    assert batch_id in stream.getvalue()
    assert max(map(len, re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines())) <= 80


def test_a_bar_is_as_high_as_its_value_and_light_where_nobody_looked() -> None:
    drawn = plot(a_day(0, 100), a_day(1, 50, is_observed=False), a_day(2, 0), a_day(3, 100))
    heights = [sum(line[4 + 6 * nth] in "█░" for line in drawn) for nth in range(4)]
    assert heights[0] == heights[3] == 11
    assert 5 <= heights[1] <= 6
    assert heights[2] <= 1
    assert {line[4] for line in drawn[:-1]} == {"█"}
    assert "░" in {line[10] for line in drawn}
    assert drawn[0].startswith("100 █████")
    assert drawn[-1].split() == ["11-01", "11-02", "11-03", "11-04"]


@pytest.mark.parametrize("columns", [40, 80, 300])
@pytest.mark.parametrize("count", [1, 2, 14, 39, 400])
def test_a_plot_fits_whatever_it_shows_and_ends_with_the_latest_day(count: int, columns: int) -> None:
    drawn = plot(*(a_day(nth, 1_000_000 + nth) for nth in range(count)), columns=columns)
    assert max(map(len, drawn)) <= min(columns, 78)
    assert drawn[0].startswith(str(1_000_000 + count - 1))


def test_a_plot_names_its_days_at_even_distances_and_the_last_one_among_them() -> None:
    drawn = plot(*(a_day(nth, 100) for nth in range(14)), columns=80)
    assert drawn[-1].split() == ["11-02", "11-04", "11-06", "11-08", "11-10", "11-12", "11-14"]


def test_a_plot_of_nothing_but_zeros_is_still_one() -> None:
    assert plot(a_day(0, 0), a_day(1, 0))[-1].split() == ["11-01", "11-02"]


def test_a_history_is_plotted_only_when_asked_and_when_there_is_something_to_plot() -> None:
    for days, has_plot, is_drawn in (
        ((a_day(0, 9),), True, True),
        ((a_day(0, 9),), False, False),
        ((), True, False),
    ):
        stream = io.StringIO()
        history = ProjectHistory(
            workspace="acme", project="cars", from_at=None, to_at=None, days=days, gaps=()
        )
        life(show.console(stream, {}), history, has_plot=has_plot)
        assert ("█" in stream.getvalue()) is is_drawn


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "last seen 2026-11-20 12:00:00 (UTC)"),
        ({"missing_since": NOON}, "missing since 2026-11-20 12:00:00 (UTC)"),
        ({"missing_since": NOON, "gone_at": NOON}, "confirmed gone 2026-11-20 12:00:00 (UTC)"),
    ],
)
def test_a_batch_is_there_or_missing_or_gone(fields: dict[str, Any], told: str) -> None:
    batch, state = a_batch(**fields), a_state(None, NOON, kind="entered")
    stream = io.StringIO()
    history = BatchHistory(batch=batch, from_at=None, to_at=None, begins=None, states=(state,), gaps=())
    life(show.console(stream, {}), history, has_plot=True)
    lines = stream.getvalue().splitlines()
    assert lines[1].startswith("uploaded unknown, ")
    assert lines[1].endswith(told)
    assert lines[-1].split() == ["entered", "-", "2026-11-20", "12:00:00", "1", "+1"]


def test_the_gaps_of_a_life_are_told_as_gaps_in_the_order_of_time() -> None:
    hours = [NOON + timedelta(hours=nth) for nth in range(6)]
    gaps = (a_gap(hours[1], hours[3]), a_gap(hours[4], None))
    history = BatchHistory(
        batch=a_batch(),
        from_at=hours[0],
        to_at=None,
        begins=BatchThen(
            batch_id="b",
            name="night",
            images=7,
            num_jobs=0,
            uploaded_at=None,
            changed_at=NOON,
            knowledge="observed",
            observed_before=NOON,
            observed_after=None,
        ),
        states=(a_state(hours[0], hours[1]), a_state(hours[1], hours[3])),
        gaps=gaps,
    )
    stream = io.StringIO()
    life(show.console(stream, {}), history, has_plot=False)
    assert [line.split()[0] for line in stream.getvalue().splitlines()[4:]] == [
        "observed",
        "changed",
        "gap",
        "changed",
        "gap",
    ]
    assert "13:00:00  2026-11-20 15:00:00" in stream.getvalue().splitlines()[6]
    assert "still open" in stream.getvalue().splitlines()[8]
    assert "nothing trusted: missed, failed: X" in stream.getvalue().splitlines()[8]


def test_a_gap_of_whole_hours_but_for_an_instant_lasted_whole_hours() -> None:
    gaps = (a_gap(NOON, NOON + timedelta(hours=48, microseconds=-7)),)
    history = ProjectHistory(
        workspace="acme", project="cars", from_at=None, to_at=None, days=(a_day(0, 9),), gaps=gaps
    )
    stream = io.StringIO()
    life(show.console(stream, {}), history, has_plot=False)
    assert "  2 d  " in stream.getvalue().splitlines()[-1]


def test_what_is_laid_out_already_is_written_before_another_stream_is() -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written)
    show.raw(show.console(stream, {}), ["a table"])
    assert written.getvalue() == b"a table\n"


def test_a_terminal_lists_the_latest_gaps_of_a_project_and_a_pipe_all() -> None:
    gaps = tuple(a_gap(NOON + timedelta(days=nth), NOON + timedelta(days=nth, hours=5)) for nth in range(50))
    history = ProjectHistory(
        workspace="acme", project="cars", from_at=None, to_at=None, days=(a_day(0, 9),), gaps=gaps
    )
    for stream, count in ((Terminal(), 20), (io.StringIO(), 50)):
        life(show.console(stream, {"COLUMNS": "100", "TERM": "xterm"}), history, has_plot=False)
        told = stream.getvalue()
        assert told.count("missed, failed: X") == count
        assert show.moment(gaps[-1].from_at) in told
        assert ("... and 30 earlier ones" in told) is (count == 20)
        assert "5 h" in told


def a_gap(from_at: datetime, to_at: datetime | None) -> Gap:
    return Gap(from_at=from_at, to_at=to_at, reasons=("missed", "failed: X"), is_promise_broken=True)


def a_batch(missing_since: datetime | None = None, gone_at: datetime | None = None) -> BatchNow:
    return BatchNow(
        workspace="acme",
        project="cars",
        batch_id="b",
        name=None,
        images=1,
        num_jobs=None,
        uploaded_at=None,
        first_seen_at=NOON,
        changed_at=NOON,
        last_seen_at=NOON,
        missing_since=missing_since,
        gone_at=gone_at,
    )


def a_state(after: datetime | None, by: datetime, kind: str = "changed") -> State:
    return State(
        kind=kind,
        changed_after=after,
        observed_at=by,
        name=None,
        images=1,
        images_delta=1,
        num_jobs=None,
        num_jobs_delta=0,
        run_id=1,
    )


def test_progress_in_lines_is_told_seldom_and_a_short_run_says_nothing() -> None:
    said, now = list[str](), [0.0]
    lines = Lines(said.append, lambda: now[0])
    project = ProjectReport(slug=Slug("acme", "cars"), verdict=Verdict.UNCHANGED)
    for second in range(25):
        now[0] = second
        lines(project, 40)
    assert said == ["11 of 40 projects", "21 of 40 projects"]


# Drawings in a word


def test_a_sparkline_goes_from_nothing_to_its_highest_and_shows_where_nobody_looked() -> None:
    assert sparkline([0, 1, 50, 100, 100], [True, True, True, False, True]) == "▁▁▅·█"
    assert sparkline([0, 0], [True, True]) == "▁▁"
    assert sparkline([], []) == ""


@pytest.mark.parametrize(
    ("count", "of", "drawn"),
    [
        (0, 1000, "░░░░░░░░░░   0%"),
        (1, 1000, "█░░░░░░░░░   1%"),
        (999, 1000, "█████████░  99%"),
        (1000, 1000, "██████████ 100%"),
        (7, 5, "██████████ 100%"),
    ],
)
def test_a_share_is_drawn_as_whole_or_nothing_only_if_it_is(count: int, of: int, drawn: str) -> None:
    assert share_bar(count, of) == drawn


def test_the_jobs_of_a_batch_are_listed_with_how_far_each_is() -> None:
    half = a_job("j1", images=8, annotated=4, approved=2)
    told = lives(jobs=(half, a_job("j2", annotated=None), a_job("j3", images=0, gone_at=NOON)))
    assert told[-3:] == [
        "j1   assigned  2026-11-20       8  █████░░░░░  50%         2",
        "j2   assigned  2026-11-20      10                          0",
        "j3   gone      2026-11-20       0                          0",
    ]


def a_job(job_id: str, **fields: Any) -> JobNow:
    given = {"name": None, "status": "assigned", "images": 10, "annotated": 0, "approved": 0, "rejected": 0}
    times = {"created_at": NOON, "changed_at": NOON, "gone_at": None}
    return JobNow(job_id=job_id, **{**given, **times, **fields})


def lives(**fields: Any) -> list[str]:
    known = {"workspace": "acme", "project": "cars", "batch_id": "b1", "images": 1}
    seen = dict.fromkeys(("first_seen_at", "changed_at", "last_seen_at"), NOON)
    batch = msgspec.convert({**dict.fromkeys(BatchNow.__struct_fields__), **known, **seen}, BatchNow)
    history = BatchHistory(batch=batch, from_at=None, to_at=None, begins=None, states=(), gaps=(), **fields)
    stream = io.StringIO()
    life(show.console(stream, {}), history, has_plot=False)
    return stream.getvalue().splitlines()


def test_what_came_new_is_drawn_beside_the_backlog_and_nothing_where_nothing_came() -> None:
    days = [msgspec.structs.replace(a_day(nth, 10), intake=intake) for nth, intake in enumerate((5, 0, None))]
    stream = Terminal()
    console = show.console(stream, {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"})
    known = ProjectHistory(
        workspace="acme", project="cars", from_at=None, to_at=None, days=tuple(days), gaps=()
    )

    life(console, known, has_plot=True)

    _, backlog, intake, *_ = re.split(r"^\S*acme/cars: ", stream.getvalue(), flags=re.MULTILINE)
    assert backlog.startswith("images waiting, by day")
    assert intake.startswith("images that came new, by day (what came while nobody looked counts")
    assert {len(set(re.findall("█+ █+|█+", line))) for line in intake.splitlines()[1:12]} == {1}


def test_status_draws_the_backlogs_that_it_is_given_and_none_otherwise() -> None:
    backlog = Backlog(workspace="acme", project="cars", images=(1, 2, 4), is_observed=(True, False, True))
    project = msgspec.convert(
        dict.fromkeys(ProjectStatus.__struct_fields__)
        | {"workspace": "acme", "project": "cars", "is_tracked": True, "batches": 1, "images": 4}
        | {"num_jobs": 0, "missing": 0},
        ProjectStatus,
    )
    found = Status(at=NOON, is_kept=True, last_run=None, projects=(project,))

    plain, drawn = (shown_status(found, given) for given in ({}, {Slug("acme", "cars"): backlog}))

    assert drawn[: len(plain)] == plain
    assert f"acme/cars  {' ' * 27}▃·█" in "\n".join(drawn)
    assert drawn[-2].endswith("1, 4")


def test_backlogs_stand_below_each_other_by_day_and_are_told_from_the_first_that_was_seen() -> None:
    days = {"cars": 30, "drones": 5, "boats": 2}
    backlogs = {
        Slug("acme", project): Backlog(
            workspace="acme",
            project=project,
            images=tuple(range(count)),
            is_observed=tuple(project != "boats" and 0 < nth < count - 1 for nth in range(count)),
        )
        for project, count in days.items()
    }
    project = msgspec.convert(
        dict.fromkeys(ProjectStatus.__struct_fields__)
        | {"workspace": "acme", "project": "cars", "is_tracked": True, "batches": 1, "images": 4}
        | {"num_jobs": 0, "missing": 0},
        ProjectStatus,
    )

    lines = shown_status(Status(at=NOON, is_kept=True, last_run=None, projects=(project,)), backlogs)

    boats, cars, drones = (line for line in lines if "·" in line and "(" not in line)
    assert len({line.rindex("·") for line in (boats, cars, drones)}) == 1
    assert [line.split("  ")[-1].strip() for line in (boats, cars, drones)] == [
        "not observed",
        "1, 29",
        "1, 4",
    ]


@pytest.mark.parametrize("rule", [None, "empty_list", "short_list", "whole_workspace"])
def test_what_to_do_is_written_as_a_shell_takes_it(rule: str | None) -> None:
    project = msgspec.convert(
        dict.fromkeys(ProjectStatus.__struct_fields__)
        | {"workspace": "acme", "project": "it's $(ours)", "is_tracked": True, "batches": 1, "images": 4}
        | {"num_jobs": 0, "missing": 0, "gap_since": NOON, "rule": rule},
        ProjectStatus,
    )

    (trouble,) = troubles(project)

    command = shlex.split(trouble.remedy.split("`")[1])
    assert command[1:] == [*(["confirm"] if rule else ["sync", "--project"]), "acme/it's $(ours)"]


def test_a_name_that_begins_with_a_dash_is_offered_as_no_option() -> None:
    assert "`batchledger confirm -- -x/cars`" in suspect_remedy("large_loss", "-x/cars")


def shown_status(found: Status, backlogs: dict[Slug, Backlog]) -> list[str]:
    stream = io.StringIO()
    status(show.console(stream, {}), found, backlogs)
    return stream.getvalue().splitlines()
