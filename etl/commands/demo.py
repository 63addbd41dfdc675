"""The demonstration: the real main job on a simulated API, and then what an analyst would see of it."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final

from etl import embedded
from etl.commands import show
from etl.commands.assembly import Workbench, run_options, utc_now, workbench
from etl.commands.queries import answer, diff, explain, history, reading, status, verify
from etl.commands.session import Session
from etl.commands.show import diff as show_diff
from etl.commands.show import explain as show_explain
from etl.commands.show import history as show_history
from etl.commands.show import status as show_status
from etl.commands.show import verify as show_verify
from etl.commands.show.runs import summary, trouble
from etl.commands.story import CARS, Story
from etl.commands.truth import believed, told
from etl.errors import BatchledgerError, SettingsError
from etl.records import Slug
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from sqlalchemy import Connection

    from etl.commands.truth import Account
    from etl.simulator import World

_OPENING: Final = """\
This is batchledger at work on a SIMULATED Roboflow API: there is no key and no
network, and none of these images exist. All else is real: the program, its
runs, and the Postgres that it writes to. Two weeks go by in some seconds, with
a run a day.
"""

_CLOSING: Final = """\
All of this was SIMULATED data. For your own workspace:

  export ROBOFLOW_API_KEY=...
  batchledger sync

What waits, what flows, when it ends, what stands still: docs/how-to/answers.md
has eight questions and their answers in SQL.
"""

_QUERIES: Final = {
    "The backlog now": """\
SELECT project, batches, images, num_jobs, last_observed_at
FROM analytics.project
ORDER BY images DESC;
""",
    "The largest batches that nobody has begun, and for how many days they have waited": """\
SELECT project, name, images, current_date - uploaded_at::date AS days
FROM analytics.batch
WHERE num_jobs = 0 AND images > 0
ORDER BY images DESC
LIMIT 5;
""",
    "When nothing would be left if it goes on like this: four cases in five lie between early and late": """\
SELECT project, remaining, round(net_per_day) AS net_per_day, end_early, end_likely, end_late
FROM analytics.forecast
ORDER BY end_likely;
""",
    "What has stood still for a week": """\
SELECT project, kind, count(*) AS waiting, sum(images) AS images, min(since) AS since
FROM analytics.stalled
WHERE is_stalled
GROUP BY project, kind
ORDER BY project, kind;
""",
    "What changed in the last twelve hours, and within which interval": """\
SELECT project, kind, name, images_delta, changed_after, observed_at
FROM analytics.batch_change
WHERE observed_at > now() - INTERVAL '12 hours'
ORDER BY observed_at, project, name;
""",
    "How things stood on the day when nobody looked, and how well that is known": """\
SELECT project, knowledge, count(*) AS batches, sum(images) AS images
FROM analytics.batch_as_of(now() - INTERVAL '7 days')
GROUP BY project, knowledge
ORDER BY project, knowledge;
""",
}
"""What is shown to go on with. Each is run just as it is printed."""


class StoryClock:
    """Tells the time of the story: each scene sets it, and from there it goes on as time does."""

    def __init__(self, at: datetime) -> None:
        self._at, self._mark_s = at, time.monotonic()

    def set(self, at: datetime) -> None:
        """Go to a moment."""
        self._at, self._mark_s = at, time.monotonic()

    def __call__(self) -> datetime:
        """Return the moment and what has passed since."""
        return self._at + timedelta(seconds=time.monotonic() - self._mark_s)


def run(session: Session, keep: Path | None) -> int:
    """
    Show it all, and return the exit code.

    Args:
        session: The invocation. Its settings have no say: the demonstration is the same everywhere.
        keep: Where the database is to stay; None: it is removed at the end.

    Raises:
        SettingsError: There is a database in that folder already.
        BatchledgerError: The ledger is not what it should be.
    """
    began_s = time.monotonic()
    out = session.out
    _print(out, _OPENING)
    story = Story(utc_now())
    clock = StoryClock(utc_now())
    with ExitStack() as stack:
        home = stack.enter_context(_home(keep))
        simulator = stack.enter_context(Simulator(story.world))
        bench = stack.enter_context(_workbench(session, simulator, home, clock))
        _live(out, story, simulator, bench, clock)
        connection = stack.enter_context(reading(bench.database.uri, bench.database.limits))
        _look(out, connection, story)
        _go_on(out, connection)
        _verify(out, connection, story.world)
    _print(out, f"\nDone in {time.monotonic() - began_s:.0f} s. {_CLOSING}")
    if keep is not None:
        _print(out, _kept(keep, story))
    return 0


# The set-up


@contextmanager
def _home(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="batchledger-demo-", ignore_cleanup_errors=True) as folder:
            if os.geteuid() == 0:
                # Postgres does not run as root, and whom it runs as must be able to pass through.
                Path(folder).chmod(0o711)
            yield Path(folder)
        return
    if embedded.exists(keep):
        raise SettingsError(f"there is a database in {keep} already", remedy="name a new folder")
    yield keep.absolute()


@contextmanager
def _workbench(session: Session, simulator: Simulator, home: Path, clock: StoryClock) -> Iterator[Workbench]:
    # requests would look for a way to the simulator through a proxy, if the environment names one.
    os.environ["no_proxy"] = "127.0.0.1"
    ((_, key),) = simulator.keys.items()
    environ = {
        "ROBOFLOW_API_URL": simulator.url,
        "ROBOFLOW_API_KEY": key,
        "BATCHLEDGER_HOME": str(home),
        "BATCHLEDGER_SOURCE__REQUESTS_PER_S": "0",
        # A run a day, and the last one at any hour of its day.
        "BATCHLEDGER_FRESHNESS__MAX_AGE": "36h",
    }
    own = Session(environ, is_debug=session.is_debug, cwd=home)
    with workbench(own.settings(), environ, stop=Event(), clock=clock) as bench:
        yield bench


# The two weeks


def _live(out: Console, story: Story, simulator: Simulator, bench: Workbench, clock: StoryClock) -> None:
    """Let every scene happen, and a run after each; a run that was missed is noted by the next one."""
    _title(out, "Two weeks of runs")
    missed = list[datetime]()
    for scene in story.scenes(simulator.faults):
        with simulator.lock:
            scene.act()
        clock.set(scene.at)
        _print(out, f"{scene.at:%a %d %b %H:%M}  {scene.what}")
        if scene.is_missed:
            missed.append(scene.at)
            continue
        for at in missed:
            bench.ledger.note_tick(at, "missed", recorded_at=clock())
        missed.clear()
        _run(out, bench)


def _run(out: Console, bench: Workbench) -> None:
    report = bench.run(run_options(bench.settings, trigger="demo"))()
    indent = " " * 18
    _print(out, f"{indent}{summary(report)}")
    for project in report.projects:
        for what, part in ((f"{project.slug}", project), (f"the job list of {project.slug}", project.jobs)):
            if part and (words := trouble(part)):
                _print(out, f"{indent}{what} is {part.verdict.value}: {words}")


# What an analyst sees


def _look(out: Console, connection: Connection, story: Story) -> None:
    cars = Slug(*CARS.split("/"))
    _title(out, "The projects (batchledger status)")
    show_status.status(out, status.status(connection, utc_now()))
    _title(out, f"A batch, state by state (batchledger history {CARS}/{story.hero_id})")
    show_history.batch_history(out, history.batch_history(connection, cars, story.hero_id), has_plot=True)
    _title(out, f"A project, day by day (batchledger history {CARS})")
    show_history.project_history(out, history.project_history(connection, cars), has_plot=True)
    now = utc_now()
    _title(out, f"What changed in a week (batchledger diff {CARS} -7d)")
    show_diff.diff(out, diff.diff(connection, cars, now - timedelta(days=7), now))
    _title(out, f"Where a number comes from (batchledger explain {CARS}/{story.hero_id} --at -4d)")
    show_explain.explain(out, explain.explain(connection, cars, story.hero_id, now - timedelta(days=4)))
    _title(out, "What was not believed, and what was not seen")
    show.answer(out, answer(connection, _UNTRUSTED))
    out.print()
    show.answer(out, answer(connection, _GAPS))


_UNTRUSTED: Final = """
SELECT project, observed_at, 'batches' AS "list of", verdict, error
FROM analytics.observation
WHERE verdict IN ('failed', 'suspect')
UNION ALL
SELECT project, observed_at, 'jobs', jobs_verdict, jobs_error
FROM analytics.observation
WHERE jobs_verdict IN ('failed', 'suspect')
ORDER BY observed_at
"""

_GAPS: Final = """
SELECT project, from_at AS "nothing trusted from", to_at AS "to", reason
FROM analytics.gap
ORDER BY from_at, project
"""


def _go_on(out: Console, connection: Connection) -> None:
    _title(out, "The same in SQL, to go on with (batchledger psql)")
    for what, sql in _QUERIES.items():
        _print(out, f"-- {what}\n{sql}")
        show.answer(out, answer(connection, sql))
        out.print()


def _verify(out: Console, connection: Connection, world: World) -> None:
    """
    Compare the ledger with the truth.

    Raises:
        BatchledgerError: It is something else.
    """
    _title(out, "Is it true?")
    found = verify.verify(connection)
    show_verify.verify(out, found)
    if not found.is_sound:
        raise BatchledgerError("the books do not balance", remedy="report it")
    _print(out, "So analytics.invariant_violation is empty (batchledger verify).")
    truth = told(world)
    if wrong := truth.differs_from(believed(connection)):
        raise BatchledgerError(
            f"the ledger differs from the truth about {', '.join(wrong)}", remedy="report it"
        )
    _print(out, _equal(truth))


def _equal(truth: Account) -> str:
    batches, jobs = truth
    return (
        f"The ledger equals the simulator's own account of all {len(batches)} batches: names, "
        f"{sum(batch.images for batch in batches)} images, {sum(batch.num_jobs for batch in batches)} jobs, "
        "upload times to the millisecond.\n"
        f"And of all {len(jobs)} annotation jobs, those of the deleted batch among them: "
        f"{sum(job.images for job in jobs)} images, {sum(job.annotated for job in jobs)} annotated, "
        f"{sum(job.approved for job in jobs)} approved, {sum(job.rejected for job in jobs)} rejected."
    )


def _kept(keep: Path, story: Story) -> str:
    home = f"BATCHLEDGER_HOME={keep.absolute()}"
    return (
        f"The demonstration's database stays in {keep}. To look around in it:\n\n"
        f"  {home} batchledger status\n"
        f"  {home} batchledger history {CARS}/{story.hero_id}\n"
        f"  {home} batchledger web\n"
        f"  {home} batchledger psql\n"
    )


def _title(out: Console, title: str) -> None:
    out.print()
    out.print(title, style="bold", soft_wrap=True, markup=False)
    out.print()


def _print(out: Console, text: str) -> None:
    out.print(text, soft_wrap=True, markup=False)
