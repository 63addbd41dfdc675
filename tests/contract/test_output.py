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
from etl.commands.queries import BatchThen, LastRun, Past, ProjectStatus, Status
from etl.commands.session import Session
from etl.errors import UnauthorizedError
from etl.records import Moves, Slug, Verdict
from etl.report import ProjectReport, RunReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NOON: Final = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


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
    assert shown(show.run_report, run) == [
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
    assert shown(show.run_report, run) == EVERYTHING.splitlines()


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
    (line,) = shown(show.run_report, a_run(run_id=None, outcome="stopped"))
    assert line.startswith("Dry run, nothing was written: 0 projects;")
    assert line.endswith(" Stopped before the end.")


def test_many_projects_with_one_trouble_are_not_all_named() -> None:
    troubled = (a_project(f"p{nth}", Verdict.FAILED, error="status 401") for nth in range(1000))
    first, last = shown(show.run_report, a_run(*troubled))
    assert first == "failed acme/p0, acme/p1, acme/p2, acme/p3, acme/p4 and 995 more: status 401"
    assert "1000 failed" in last


def test_records_that_could_not_be_used_are_told() -> None:
    lines = shown(show.run_report, a_run(a_project(rejects=2)))
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
        error="large_loss",
        gap_since=NOON - timedelta(hours=2),
        gap_reason="suspect: large_loss",
    )
    found = Status(at=NOON, last_run=run, projects=(cars, drones))
    assert shown(show.status, found) == STATUS.splitlines()


STATUS: Final = """\
project      fresh     verdict  batches  images  jobs  missing  tracked
acme/cars    90 s ago  changed        3      40     1           yes
acme/drones  2 h ago   suspect        3       0     1        2  yes

warning acme/drones: nothing trusted since 2026-11-20 10:00:00 UTC \
(suspect: the list lacks a large share of the known batches)
Last run: 7, 5 min ago on box (sync): partial (1 changed, 1 suspect).
"""


def test_a_run_that_has_not_ended_is_told_as_that() -> None:
    run = msgspec.convert(
        {**dict.fromkeys(LastRun.__struct_fields__), "run_id": 9, "trigger": "schedule", "host": "box"}
        | {"version": "0.1.0", "started_at": NOON - timedelta(days=3)},
        LastRun,
    )
    *_, line = shown(show.status, Status(at=NOON, last_run=run, projects=(a_status(),)))
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
        "last_observed_at": NOON,
        "last_verdict": "changed",
    }
    return ProjectStatus(**{**given, **fields})


def test_the_past_says_how_well_it_is_known() -> None:
    then = BatchThen(
        batch_id="6VN0fFQIWU1E24bDjGsN",
        name="night [red]shift[/red]",
        images=5,
        num_jobs=None,
        uploaded_at=NOON,
        changed_at=NOON,
        knowledge="carried",
        observed_before=NOON,
        observed_after=None,
    )
    found = Past(at=NOON, workspace="acme", project="cars", batches=(then,))
    assert shown(show.life, found, has_plot=False) == [
        "acme/cars as it stood at 2026-11-20 12:00:00 UTC",
        "batch                 knowledge  images  jobs  since (UTC)          name",
        "6VN0fFQIWU1E24bDjGsN  carried         5        2026-11-20 12:00:00  night [red]shift[/red]",
    ]


def test_a_past_without_a_batch_says_so() -> None:
    found = Past(at=NOON, workspace="acme", project="cars", batches=())
    assert shown(show.life, found, has_plot=False) == [
        "acme/cars as it stood at 2026-11-20 12:00:00 UTC",
        "No batch that is known of was there then.",
    ]


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
    assert told in shown(show.projects, [listed])[1]


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


class Broken(UserDict[str, str]):
    """An environment that nobody can have: it breaks whoever reads it."""

    def items(self) -> Any:
        raise RuntimeError("canary\nin two lines")


def test_a_fault_of_ours_is_one_line_that_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    code, err = failing(["status"], Broken(), capsys)
    assert code == 1
    assert err.splitlines() == [
        "error: a fault of batchledger's own: RuntimeError: canary in two lines",
        "remedy: run it again with --debug for the traceback, and report it",
    ]


def test_a_fault_of_ours_has_its_traceback_with_debug(capsys: pytest.CaptureFixture[str]) -> None:
    code, err = failing(["status", "--debug"], Broken(), capsys)
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
    _, err = failing(["psql", "--", "--debug"], Broken(), capsys)
    assert "Traceback" not in err


def test_a_command_leaves_the_signals_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    failing(["status"], Broken(), capsys)
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
