"""What commands print: to the letter for people, to the key for scripts, in one line when they fail."""

from __future__ import annotations

import io
import json
import logging
import re
import signal
from collections import UserDict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
import structlog

from etl.cli import main
from etl.commands import show
from etl.commands.documents import run_document
from etl.commands.inventory import Listed
from etl.commands.manual import EXAMPLES, EXIT_CODES
from etl.commands.queries.diff import CHANGES, BatchDifference, Between, Deltas, Diff
from etl.commands.queries.gaps import Gap
from etl.commands.queries.past import BatchThen, Past, Stand
from etl.commands.queries.status import LastRun, ProjectStatus, Status
from etl.commands.queries.verify import Books, Broken, Verification, Violation
from etl.commands.session import Session
from etl.commands.show import access
from etl.commands.show.diff import diff
from etl.commands.show.history import life
from etl.commands.show.runs import run_report
from etl.commands.show.status import status
from etl.commands.show.verify import verify
from etl.errors import UnauthorizedError
from etl.guard import Rule
from etl.records import Moves, Slug, Verdict
from etl.report import ProjectReport, RunReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NOON: Final = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EARLIER: Final = NOON - timedelta(hours=1)
LATER: Final = NOON + timedelta(hours=1)


def a_project(name: str = "cars", verdict: Verdict = Verdict.CHANGED, **fields: Any) -> ProjectReport:
    return ProjectReport(slug=Slug("acme", name), verdict=verdict, **fields)


def a_run(*projects: ProjectReport, run_id: int | None = 7, **fields: Any) -> RunReport:
    given = {"outcome": "completed", "ended_at": NOON + timedelta(seconds=1.3), **fields}
    return RunReport(run_id=run_id, started_at=NOON, projects=projects, **given)


def shown(draw: Callable[..., None], *values: object, **options: Any) -> list[str]:
    """Return the lines that a pipe gets."""
    stream = io.StringIO()
    draw(show.console(stream, {}), *values, **options)
    return stream.getvalue().splitlines()


# For people


def test_a_run_without_changes_is_one_line() -> None:
    run = a_run(a_project(verdict=Verdict.UNCHANGED), a_project("drones", Verdict.UNCHANGED))
    assert shown(run_report, run) == [
        "Run 7: 2 projects (2 unchanged); batches: no change; 0 images, 0 jobs; 1.3 s."
    ]


def test_a_run_with_everything_in_it_tells_everything_once() -> None:
    moves = Moves(entered=2, changed=1, left=1, images_delta=40, num_jobs_delta=-1)
    key = UnauthorizedError("/: status 401", remedy="Check the key.")
    run = a_run(
        a_project(moves=moves),
        a_project("drones", Verdict.SUSPECT, rule="empty_list"),
        a_project("hats", Verdict.FAILED, error="status 500", remedy="Wait."),
        a_project("maps", Verdict.FAILED, error="status 500", remedy="Wait."),
        a_project("nuts", Verdict.SKIPPED, error="another run is reading it"),
        a_project("oars", Verdict.UNCHANGED),
        outcome="partial",
        problems=(key,),
    )
    assert shown(run_report, run) == EVERYTHING.splitlines()


EVERYTHING: Final = """\
project    verdict  batches                   images  jobs
acme/cars  changed  2 new, 1 changed, 1 gone     +40    -1

failed a key: /: status 401
  remedy: Check the key.
suspect acme/drones: the list is empty, and was not before; \
what is present was applied, the absences are not believed
failed acme/hats, acme/maps: status 500
  remedy: Wait.
skipped acme/nuts: another run is reading it
Run 7: 6 projects (1 changed, 1 unchanged, 1 suspect, 2 failed, 1 skipped); \
batches: 2 new, 1 changed, 1 gone; +40 images, -1 jobs; 1.3 s.
"""


def test_a_dry_run_says_so_first_and_an_early_end_last() -> None:
    (line,) = shown(run_report, a_run(run_id=None, outcome="stopped"))
    assert line.startswith("Dry run, nothing was written: 0 projects;")
    assert line.endswith(" Stopped before the end.")


def test_many_projects_with_one_trouble_are_not_all_named() -> None:
    troubled = (a_project(f"p{nth}", Verdict.FAILED, error="status 401") for nth in range(1000))
    first, last = shown(run_report, a_run(*troubled))
    assert first == "failed acme/p0, acme/p1, acme/p2, acme/p3, acme/p4 and 995 more: status 401"
    assert "1000 failed" in last


def test_records_that_could_not_be_used_are_told() -> None:
    lines = shown(run_report, a_run(a_project(rejects=2)))
    assert "changed acme/cars: 2 records could not be used and are kept as rejects" in lines


def test_status_tells_freshness_gaps_and_the_last_run() -> None:
    run = LastRun(
        run_id=7,
        trigger="sync",
        host="box",
        version="0.1.0",
        started_at=NOON - timedelta(minutes=5),
        ended_at=NOON,
        outcome="partial",
        changed=1,
        unchanged=0,
        suspect=1,
        failed=0,
        skipped=0,
        batch_changes=3,
        requests=2,
    )
    cars = a_status(images=40)
    drones = a_status(
        project="drones",
        last_verdict="suspect",
        missing=2,
        age_s=7200.0,
        rule="large_loss",
        error="large_loss",
        gap_since=NOON - timedelta(hours=2),
        gap_reason="suspect: large_loss",
        gap_reasons=("suspect: large_loss",),
    )
    helmets = a_status(
        project="helmets",
        last_verdict="failed",
        age_s=14400.0,
        is_kept=False,
        kept_1d=0.9999,
        kept_7d=0.5,
        kept_30d=0.0,
        error="status 500",
        gap_since=NOON - timedelta(hours=4),
        gap_reason="failed: TransientError, missed",
        gap_reasons=("failed: TransientError", "missed"),
    )
    maps = a_status(project="maps", is_tracked=False, is_kept=None, kept_1d=None, gap_since=NOON)
    found = Status(at=NOON, is_kept=False, last_run=run, projects=(cars, drones, helmets, maps))
    assert shown(status, found) == STATUS.splitlines()


STATUS: Final = """\
project       age           kept 1 d   7 d  30 d  verdict  batches  images  missing
acme/cars     90 s of 3 h       100%  100%  100%  changed        3      40
acme/drones   2 h of 3 h        100%  100%  100%  suspect        3       0        2
acme/helmets  4 h of 3 h       99.9%   50%    0%  failed         3       0
acme/maps     90 s, paused            100%  100%  changed        3       0

suspect acme/drones: nothing trusted since 2026-11-20 10:00:00 UTC (suspect: large_loss): \
the list lacks a large share of the known batches
  remedy: the next runs look again, and ask for the lost batches once it lasts; \
`batchledger confirm acme/drones` shows what accepting the loss would mean, and asks
broken acme/helmets: nothing trusted since 2026-11-20 08:00:00 UTC (failed: TransientError, missed): \
status 500; 3 h is promised
  remedy: the next run tries again; `batchledger check` tells a wrong key from a source that is down
Last run: 7, 5 min ago on box (sync): partial (1 changed, 1 suspect).
"""


@pytest.mark.parametrize("rule", Rule)
def test_every_rule_of_the_guard_has_its_remedy_and_only_what_can_be_accepted_names_confirm(
    rule: Rule,
) -> None:
    project = a_status(rule=rule.value, error=rule.value, gap_since=NOON, gap_reasons=("suspect",))
    (remedy,) = [line for line in shown(status, a_glance(project)) if line.startswith("  remedy: ")]
    assert ("batchledger confirm acme/cars" in remedy) is (rule is not Rule.UNREADABLE_RECORD)


@pytest.mark.parametrize("rule", Rule)
def test_a_list_of_jobs_that_is_not_believed_is_told_in_words_of_jobs(rule: Rule) -> None:
    project = a_status(jobs_verdict="suspect", jobs_error=rule.value, is_jobs_kept=True)
    told, remedy = shown(status, a_glance(project))[3:]
    assert told.startswith("suspect acme/cars: jobs: ")
    assert "batch" not in told.removeprefix("suspect acme/cars: ")
    assert "batches" not in remedy
    assert ("batchledger confirm acme/cars" in remedy) is (rule is not Rule.UNREADABLE_RECORD)


def test_a_project_that_nobody_reads_any_more_is_told_how_to_be_read() -> None:
    project = a_status(gap_since=NOON, gap_reasons=("no run",))
    assert "batchledger sync --project acme/cars" in shown(status, a_glance(project))[4]


def test_a_project_that_was_never_read_is_told_as_that() -> None:
    assert shown(status, a_glance(a_status(age_s=None, last_verdict=None)))[1].split()[1:4] == [
        "never",
        "of",
        "3",
    ]


def a_glance(project: ProjectStatus) -> Status:
    return Status(at=NOON, is_kept=True, last_run=None, projects=(project,))


def test_a_run_that_has_not_ended_is_told_as_that() -> None:
    run = msgspec.convert(
        {**dict.fromkeys(LastRun.__struct_fields__), "run_id": 9, "trigger": "schedule", "host": "box"}
        | {"version": "0.1.0", "started_at": NOON - timedelta(days=3)},
        LastRun,
    )
    *_, line = shown(status, Status(at=NOON, is_kept=True, last_run=run, projects=(a_status(),)))
    assert line == "Last run: 9, started 3 d ago on box (schedule); it is still going, or it died."


def a_status(**fields: Any) -> ProjectStatus:
    given = {
        **dict.fromkeys(ProjectStatus.__struct_fields__),
        "workspace": "acme",
        "project": "cars",
        "is_tracked": True,
        "batches": 3,
        "images": 0,
        "num_jobs": 1,
        "missing": 0,
        "age_s": 90.0,
        "max_age_s": 10800,
        "is_kept": True,
        "kept_1d": 1.0,
        "kept_7d": 1.0,
        "kept_30d": 1.0,
        "last_observed_at": NOON,
        "last_verdict": "changed",
    }
    return ProjectStatus(**{**given, **fields})


@pytest.mark.parametrize(
    ("knowledge", "around", "gap", "told"),
    [
        ("observed", (NOON, None), None, "observed: read at that moment"),
        ("observed", (EARLIER, LATER), None, "observed: the same before and after"),
        ("carried", (EARLIER, None), None, "carried: as last seen; nobody has looked since"),
        ("carried", (EARLIER, LATER), ("missed",), "carried: as last seen; then came a gap (missed)"),
        (
            "carried",
            (EARLIER, LATER),
            None,
            "carried: as last seen; it changed before the next look, or something was pending",
        ),
        ("gone", (EARLIER, LATER), None, "gone: confirmed absent"),
        ("unknown", (None, LATER), None, "unknown: it may have been there, unseen"),
    ],
)
def test_the_past_of_a_batch_says_in_words_how_well_it_is_known(
    knowledge: str,
    around: tuple[datetime | None, datetime | None],
    gap: tuple[str, ...] | None,
    told: str,
) -> None:
    before, after = around
    inside = Gap(from_at=EARLIER, to_at=LATER, reasons=gap, is_promise_broken=False) if gap else None
    batch = a_past_batch(knowledge=knowledge, observed_before=before, observed_after=after)
    found = a_past(batch, batch_id=batch.batch_id, totals=a_stand(gap=inside))
    assert shown(life, found, has_plot=False) == [
        "Batch 6VN0fFQIWU1E24bDjGsN of acme/cars as it stood at 2026-11-20 12:00:00 UTC",
        "night [red]shift[/red]: 5 images, jobs unknown, so since 2026-11-20 12:00:00 UTC",
        told,
        f"observation before: {at(before) or 'none'}; after: {at(after) or 'none yet'}",
    ]


def at(moment: datetime | None) -> str:
    return f"{show.moment(moment)} UTC" if moment else ""


def test_the_past_of_a_project_has_its_totals_and_every_batch() -> None:
    assert shown(life, a_past(a_past_batch(knowledge="carried")), has_plot=False) == [
        "acme/cars as it stood at 2026-11-20 12:00:00 UTC",
        "3 batches, 40 images, 1 job",
        "observed: the same before and after",
        "observation before: 2026-11-20 11:00:00 UTC; after: 2026-11-20 13:00:00 UTC",
        "",
        "batch                 knowledge  images  jobs  since (UTC)          name",
        "6VN0fFQIWU1E24bDjGsN  carried         5        2026-11-20 12:00:00  night [red]shift[/red]",
    ]


def test_a_past_without_a_batch_says_so_and_claims_no_number() -> None:
    nothing = a_stand(batches=None, images=None, num_jobs=None, knowledge="unknown", observed_before=None)
    assert shown(life, a_past(totals=nothing), has_plot=False) == [
        "acme/cars as it stood at 2026-11-20 12:00:00 UTC",
        "unknown: it had never been observed",
        "observation before: none; after: 2026-11-20 13:00:00 UTC",
        "No batch that is known of was there then.",
    ]


def test_a_batch_that_was_not_there_yet_is_told_as_that() -> None:
    assert "It was not there then, as far as is known." in shown(life, a_past(batch_id="b"), has_plot=False)


def a_past(*batches: BatchThen, **fields: Any) -> Past:
    given = {"at": NOON, "workspace": "acme", "project": "cars", "batch_id": None, "totals": a_stand()}
    return Past(**{**given, "batches": batches, **fields})


def a_past_batch(**fields: Any) -> BatchThen:
    given = {
        "batch_id": "6VN0fFQIWU1E24bDjGsN",
        "name": "night [red]shift[/red]",
        "images": 5,
        "num_jobs": None,
        "uploaded_at": NOON,
        "changed_at": NOON,
        "observed_before": NOON,
        "observed_after": None,
    }
    return BatchThen(**{**given, **fields})


def a_stand(**fields: Any) -> Stand:
    given = {
        "at": NOON,
        "batches": 3,
        "images": 40,
        "num_jobs": 1,
        "knowledge": "observed",
        "observed_before": EARLIER,
        "observed_after": LATER,
        "gap": None,
    }
    return Stand(**{**given, **fields})


def test_a_difference_is_told_in_groups_and_adds_up() -> None:
    gap = Gap(from_at=EARLIER, to_at=None, reasons=("missed", "project paused"), is_promise_broken=True)
    found = Diff(
        workspace="acme",
        project="cars",
        before=a_stand(),
        after=a_stand(at=LATER, images=60, knowledge="carried", observed_after=None, gap=gap),
        batches=(
            a_difference("entered", None, 30),
            a_difference("grown", 5, 15, num_jobs_delta=2),
            a_difference("left", 20, None),
        ),
        deltas={change: Deltas(count=0, batches=0, images=0, num_jobs=0) for change in CHANGES}
        | {
            "entered": Deltas(count=1, batches=1, images=30, num_jobs=0),
            "grown": Deltas(count=1, batches=0, images=10, num_jobs=2),
            "left": Deltas(count=1, batches=-1, images=-20, num_jobs=0),
        },
        between=Between(came_and_went=1, undone=2),
        gaps=(gap,),
        amiss=None,
    )
    assert shown(diff, found) == DIFFERENCE.splitlines()


def test_what_was_never_observed_is_no_zero() -> None:
    nothing = a_stand(batches=None, images=None, num_jobs=None, knowledge="unknown")
    found = Diff(
        workspace="acme",
        project="cars",
        before=nothing,
        after=nothing,
        batches=(),
        deltas={change: Deltas(count=0, batches=0, images=0, num_jobs=0) for change in CHANGES},
        between=Between(came_and_went=0, undone=0),
        gaps=(),
        amiss=None,
    )
    assert shown(diff, found)[3].split()[:5] == ["2026-11-20", "12:00:00", "-", "-", "-"]


DIFFERENCE: Final = """\
acme/cars from 2026-11-20 12:00:00 to 2026-11-20 13:00:00 UTC

change   batch  before  after  images  jobs  name
entered  b           -     30     +30     0  night
grown    b           5     15     +10    +2  night
left     b          20      -     -20     0  night

                     batches  images  jobs  knowledge
2026-11-20 12:00:00        3      40     1  observed: the same before and after
1 entered                 +1     +30     0
1 grown                    0     +10    +2
1 left                    -1     -20     0
2026-11-20 13:00:00        3      60     1  carried: as last seen; then came a gap (missed, project paused)
In between, 1 batch came and went and 2 batches changed and ended as they were.
warning acme/cars: nothing trusted from 2026-11-20 11:00:00 on, still open (missed, project paused); \
the numbers of 2026-11-20 13:00:00 are carried
"""


def a_difference(change: str, before: int | None, after: int | None, **fields: Any) -> BatchDifference:
    given = {
        "batch_id": "b",
        "name": "night",
        "images_delta": (after or 0) - (before or 0),
        "num_jobs_before": 0,
        "num_jobs_after": 0,
        "num_jobs_delta": 0,
        "knowledge_before": "observed",
        "knowledge_after": "observed",
    }
    return BatchDifference(change=change, images_before=before, images_after=after, **{**given, **fields})


def test_books_that_balance_are_one_line() -> None:
    (line,) = shown(verify, books())
    assert line == f"The books balance: {CHECKED}; all hold."


CHECKED: Final = "15 invariants over 2 projects, 30 batches, 400 changes and 5000 observations in 1.2 s"


def test_books_that_do_not_balance_name_every_row_and_the_remedy() -> None:
    violations = tuple(
        Violation(invariant="x_y", workspace="acme", project=name, detail="observation 7")
        for name in ("cars", "drones")
    )
    broken = Broken(invariant="x_y", means="a number is wrong", remedy="restore it", rows=violations)
    assert shown(verify, books(broken)) == [
        "broken x_y: a number is wrong",
        "  acme/cars: observation 7",
        "  acme/drones: observation 7",
        "  remedy: restore it",
        f"The books do not balance: {CHECKED}; 1 does not hold, in 2 rows.",
    ]


def books(*broken: Broken) -> Verification:
    checked = Books(projects=2, batches=30, changes=400, observations=5000)
    return Verification(is_sound=not broken, invariants=15, checked=checked, took_s=1.234, broken=broken)


@pytest.mark.parametrize(
    ("is_visible", "is_wanted", "is_tracked", "told"),
    [
        (True, True, True, "yes"),
        (True, True, False, "from the next run"),
        (True, False, False, "no"),
        (True, False, True, "no"),
        (False, True, True, "not visible"),
    ],
)
def test_what_is_followed_is_told_in_a_word(
    *, is_visible: bool, is_wanted: bool, is_tracked: bool, told: str
) -> None:
    listed = Listed(
        workspace="acme",
        project="cars",
        name=None,
        type=None,
        is_visible=is_visible,
        is_wanted=is_wanted,
        is_tracked=is_tracked,
    )
    assert told in shown(access.projects, [listed])[1]


# For scripts


def test_the_document_of_a_run_keeps_its_keys() -> None:
    document = json.loads(
        msgspec.json.encode(run_document(a_run(a_project(), problems=(UnauthorizedError("no"),))))
    )
    assert document == {
        "run_id": 7,
        "is_dry_run": False,
        "started_at": "2026-11-20T12:00:00Z",
        "ended_at": "2026-11-20T12:00:01.300000Z",
        "outcome": "completed",
        "exit_code": 4,
        "verdicts": {"changed": 1, "unchanged": 0, "suspect": 0, "failed": 0, "skipped": 0},
        "moves": NO_MOVES,
        "projects": [
            {
                "workspace": "acme",
                "project": "cars",
                "verdict": "changed",
                "rule": None,
                "moves": NO_MOVES,
                "rejects": 0,
                "requests": 0,
                "error": "",
                "remedy": "",
            }
        ],
        "problems": [{"error": "no", "remedy": ""}],
    }


NO_MOVES: Final = dict.fromkeys(
    ("entered", "changed", "renamed", "left", "returned", "images_delta", "num_jobs_delta"), 0
)


# Failing


def failing(arguments: Sequence[str], environ: Any, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(arguments, environ)
    out, err = capsys.readouterr()
    assert out == ""
    return code, err


class Unreadable(UserDict[str, str]):
    """An environment that nobody can have: it breaks whoever reads it."""

    def items(self) -> Any:
        raise RuntimeError("canary\nin two lines")


def test_a_fault_of_ours_is_one_line_that_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    code, err = failing(["status"], Unreadable(), capsys)
    assert code == 1
    assert err.splitlines() == [
        "error: a fault of batchledger's own: RuntimeError: canary in two lines",
        "remedy: run it again with --debug for the traceback, and report it",
    ]


def test_a_fault_of_ours_has_its_traceback_with_debug(capsys: pytest.CaptureFixture[str]) -> None:
    code, err = failing(["status", "--debug"], Unreadable(), capsys)
    assert code == 1
    assert err.startswith("Traceback (most recent call last):")
    assert err.splitlines()[-1] == "remedy: report it with what --debug says"


@pytest.fixture
def quiet_log() -> Iterator[None]:
    """Leave the log of the tests as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.usefixtures("quiet_log")
@pytest.mark.parametrize("is_debug", [False, True])
def test_no_secret_is_told_whatever_fails(*, is_debug: bool, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"ROBOFLOW_API_KEY": "canaryKey", "DATABASE_URL": "postgresql://me:canary%2Fpw@host/db"}
    session = Session(environ, is_debug=is_debug)
    session.settings()
    assert session.fail(RuntimeError("canaryKey and canary/pw and canary%2Fpw")) == 1
    err = capsys.readouterr().err
    assert "*** and *** and ***" in err
    assert "canary" not in err


def test_debug_is_left_to_psql_where_it_is_meant_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    _, err = failing(["psql", "--", "--debug"], Unreadable(), capsys)
    assert "Traceback" not in err


def test_a_command_leaves_the_signals_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    failing(["status"], Unreadable(), capsys)
    assert signal.getsignal(signal.SIGTERM) is before


# Help


@pytest.fixture
def helped(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def ask(*arguments: str) -> str:
        assert main(arguments, {}) == 0
        return capsys.readouterr().out

    return ask


def test_the_overview_lists_every_command_and_exit_code(helped: Callable[..., str]) -> None:
    said = helped("--help")
    listed = re.findall(r"^  ([a-z]+) +\S", said[said.index("Commands:") :], re.MULTILINE)
    assert sorted(listed) == sorted(EXAMPLES)
    assert [int(code) for code in re.findall(r"^    (\d+) ", said, re.MULTILINE)] == list(EXIT_CODES)
    assert not re.search(r"\w\.\.\.$", said, re.MULTILINE)
    assert helped() == helped("-h") == said


def test_the_version_is_told(helped: Callable[..., str]) -> None:
    assert re.fullmatch(r"batchledger \d+\.\d+\.\d+\n", helped("--version"))


@pytest.mark.parametrize("command", EXAMPLES)
def test_every_command_has_examples_in_its_help(helped: Callable[..., str], command: str) -> None:
    said = helped(command, "--help")
    for line, what in EXAMPLES[command]:
        assert re.search(rf"^    {re.escape(line)}  +{re.escape(what)}$", said, re.MULTILINE)
    assert max(map(len, said.splitlines())) <= 100
