"""What the views answer on small histories whose answers were worked out by hand."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from tests.histories import MINUTE, Done, Flows, History, Images, Work
from tests.integration.test_run import LIST, Scene
from tests.logins import as_reader
from tests.worlds import a_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import NewDatabase

pytestmark = pytest.mark.also_on_16

Rows = list[tuple[Any, ...]]

NOON: Final = timedelta(hours=12)
DAY: Final = timedelta(days=1)


def feb(day: int, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(2024, 2, day, hour, minute, tzinfo=UTC)


def noon(days_ago: int) -> datetime:
    return _TODAY - days_ago * DAY + NOON


class Asked:
    """A database that analysts ask."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def __call__(self, query: str, *values: object) -> Rows:
        return self._connection.execute(query.encode(), values).fetchall()


@pytest.fixture(scope="module")
def ask(new_database: NewDatabase) -> Iterator[Asked]:
    """Write every history of this file once, as the writer, and ask as the reader."""
    with (
        new_database() as uri,
        psycopg.connect(uri, autocommit=True) as writer,
        psycopg.connect(as_reader(uri), autocommit=True) as reader,
    ):
        history = History(writer)
        _tell_of_cars(history)
        _tell_of_bikes(history)
        _tell_of_twins(history)
        _tell_of_heirs(history)
        _tell_of_nights(history)
        _tell_of_waiting(history)
        _tell_of_paces(history)
        _tell_of_steps(history)
        _tell_of_ways(history)
        _tell_of_ends(history)
        _tell_of_hands(history)
        _tell_of_havana(history)
        yield Asked(reader)


# Cars: two batches, then a third; an assignment, a day that failed, a merge, a split, images removed.
#
#       day     batches                  images  jobs                         remaining  what happened
# Thu 1 Feb     A 100, B 40                 140  none                               140  nothing flows yet
# Fri 2 Feb     A 40, B 40                   80  J1 60                              140  60 assigned
# Sat 3 Feb     (the attempt failed)         80                                     140
# Sun 4 Feb     A 40, B 40, C 20            100  J1 60, 30 annotated                130  20 new, 30 annotated
# Mon 5 Feb     A 80, C 20                  100  J1 complete: 60, 50 ok, 10 not     100  B merged into A
# Tue 6 Feb     A 0, C 5, D 15               20  J1, J2 80                          100  D split from C
# Wed 7 Feb     A 0, C 5, D 10               15  J1, J2 complete: 80                 15  5 removed
# Thu 8 Feb     the same                     15  (the reading failed)                15


def _tell_of_cars(history: History) -> None:
    uploaded_at = feb(1) - DAY
    a = Images(100, 0, "first", uploaded_at)
    b = Images(40, 0, "second", uploaded_at)
    c = Images(20, 0, "third", feb(3))
    d = Images(15, 0, "fourth", feb(6, 11))
    j1 = Work("A", 60, created_at=feb(2, 9))
    j2 = Work("A", 80, created_at=feb(6, 10))
    history.project("cars", feb(1))
    history.see("cars", feb(1), {"A": a, "B": b}, {})
    a = a._replace(images=40, num_jobs=1)
    history.see("cars", feb(2), {"A": a, "B": b}, {"J1": j1}, flows=Flows(assigned=60), done=Done())
    history.fail("cars", feb(3))
    j1 = j1._replace(annotated=30)
    history.see(
        "cars",
        feb(4),
        {"A": a, "B": b, "C": c},
        {"J1": j1},
        flows=Flows(intake=20),
        done=Done(30),
        gap_reasons=["failed: TransientError"],
    )
    a = a._replace(images=80)
    j1 = j1._replace(annotated=60, approved=50, rejected=10, status="complete")
    history.see("cars", feb(5), {"A": a, "C": c}, {"J1": j1}, flows=Flows(moved=40), done=Done(30, 50, 10))
    a, c = a._replace(images=0, num_jobs=2), c._replace(images=5)
    history.see(
        "cars",
        feb(6),
        {"A": a, "C": c, "D": d},
        {"J1": j1, "J2": j2},
        flows=Flows(moved=15, assigned=80),
        done=Done(),
    )
    d, j2 = d._replace(images=10), j2._replace(annotated=80, status="complete")
    last = {"A": a, "C": c, "D": d}
    history.see("cars", feb(7), last, {"J1": j1, "J2": j2}, flows=Flows(removed=5), done=Done(80))
    history.see(
        "cars",
        feb(8),
        last,
        flows=Flows(),
        jobs_verdict="failed",
        jobs_at=feb(8),
        jobs_error_class="TransientError",
        jobs_error="status 502",
    )


def test_days_tell_what_flowed_and_mark_those_on_which_nobody_looked(ask: Asked) -> None:
    days = ask(
        "SELECT day, images, intake, moved, assigned, unassigned, removed, is_observed "
        "FROM analytics.project_daily WHERE workspace = 'acme' AND project = 'cars' ORDER BY day LIMIT 9"
    )
    assert days == [
        (date(2024, 2, 1), 140, 0, 0, 0, 0, 0, True),
        (date(2024, 2, 2), 80, 0, 0, 60, 0, 0, True),
        (date(2024, 2, 3), 80, None, None, None, None, None, False),
        (date(2024, 2, 4), 100, 20, 0, 0, 0, 0, True),
        (date(2024, 2, 5), 100, 0, 40, 0, 0, 0, True),
        (date(2024, 2, 6), 20, 0, 15, 80, 0, 0, True),
        (date(2024, 2, 7), 15, 0, 0, 0, 0, 5, True),
        (date(2024, 2, 8), 15, 0, 0, 0, 0, 0, True),
        (date(2024, 2, 9), 15, None, None, None, None, None, False),
    ]


def test_days_tell_of_the_jobs_and_mark_those_on_which_they_were_not_read(ask: Asked) -> None:
    days = ask(
        "SELECT jobs, job_images, annotated, approved, rejected, annotated_work, approved_work, "
        "rejected_work, remaining, is_jobs_observed, last_observed_at "
        "FROM analytics.project_daily WHERE project = 'cars' ORDER BY day LIMIT 9"
    )
    assert days == [
        (0, 0, 0, 0, 0, 0, 0, 0, 140, True, feb(1)),
        (1, 60, 0, 0, 0, 0, 0, 0, 140, True, feb(2)),
        (1, 60, 0, 0, 0, None, None, None, 140, False, feb(2)),
        (1, 60, 30, 0, 0, 30, 0, 0, 130, True, feb(4)),
        (1, 60, 60, 50, 10, 30, 50, 10, 100, True, feb(5)),
        (2, 140, 60, 50, 10, 0, 0, 0, 100, True, feb(6)),
        (2, 140, 140, 50, 10, 80, 0, 0, 15, True, feb(7)),
        (2, 140, 140, 50, 10, None, None, None, 15, False, feb(8)),
        (2, 140, 140, 50, 10, None, None, None, 15, False, feb(8)),
    ]


_SUMS: Final = (
    "batches, images, num_jobs, images_delta, is_observed, days, observed_days, jobs_observed_days, "
    "jobs, job_images, annotated, intake, moved, assigned, unassigned, removed, "
    "annotated_work, approved_work, rejected_work, remaining, last_observed_at"
)


def test_weeks_add_up_their_days_and_say_how_many_were_observed(ask: Asked) -> None:
    weeks = ask(
        f"SELECT week, {_SUMS} FROM analytics.project_weekly "
        "WHERE workspace = 'acme' AND project = 'cars' ORDER BY week LIMIT 3"
    )
    # From Thursday on: 140 - 60 + 20 images; Saturday was not observed.
    first = (3, 100, 1, 100, True, 4, 3, 3, 1, 60, 30, 20, 0, 60, 0, 0, 30, 0, 0, 130, feb(4))
    # -80 - 5 images; Thursday without jobs; nobody looked from Friday on.
    second = (3, 15, 2, -85, True, 7, 4, 3, 2, 140, 140, 0, 55, 80, 0, 5, 110, 50, 10, 15, feb(8))
    third = (3, 15, 2, 0, False, 7, 0, 0, 2, 140, 140, *[None] * 8, 15, feb(8))
    assert weeks == [
        (date(2024, 1, 29), *first),
        (date(2024, 2, 5), *second),
        (date(2024, 2, 12), *third),
    ]


def test_months_add_up_their_days_and_say_how_many_were_observed(ask: Asked) -> None:
    months = ask(
        f"SELECT month, {_SUMS} FROM analytics.project_monthly WHERE project = 'cars' ORDER BY month LIMIT 2"
    )
    february = (3, 15, 2, 15, True, 29, 7, 6, 2, 140, 140, 20, 55, 140, 0, 5, 140, 50, 10, 15, feb(8))
    march = (3, 15, 2, 0, False, 31, 0, 0, 2, 140, 140, *[None] * 8, 15, feb(8))
    assert months == [(date(2024, 2, 1), *february), (date(2024, 3, 1), *march)]


@pytest.mark.parametrize(
    ("grain", "view", "column"),
    [
        ("week", "project_weekly", "week"),
        ("month", "project_monthly", "month"),
        ("day", "project_daily", "day"),
    ],
)
def test_periods_of_utc_are_the_days_weeks_and_months_of_the_views(
    ask: Asked, grain: str, view: str, column: str
) -> None:
    columns = _SUMS if grain != "day" else _SUMS.replace(" days, observed_days, jobs_observed_days,", "")
    told = ask(
        f"SELECT project, (period_start AT TIME ZONE 'UTC')::date, {columns}, jobs_observed_at, is_in_step "
        "FROM analytics.project_period(%s, 'UTC') ORDER BY 1, 2",
        grain,
    )
    assert told == ask(
        f"SELECT project, {column}, {columns}, jobs_observed_at, is_in_step "
        f"FROM analytics.{view} ORDER BY 1, 2"
    )


def test_what_is_left_burns_down(ask: Asked) -> None:
    days = ask(
        "SELECT remaining, annotated_work, is_observed FROM analytics.burn_down "
        "WHERE project = 'cars' ORDER BY day LIMIT 7"
    )
    assert days == [
        (140, 0, True),
        (140, 0, True),
        (140, None, False),
        (130, 30, True),
        (100, 30, True),
        (100, 0, True),
        (15, 80, True),
    ]


def test_flows_explain_how_the_backlog_moved(ask: Asked) -> None:
    """After the first observation, of which nobody knows where it came from."""
    assert ask(
        "SELECT count(*) FROM analytics.observation WHERE previous_at IS NOT NULL "
        "AND images_delta <> intake + unassigned - assigned - removed"
    ) == [(0,)]


def test_an_observation_tells_of_its_jobs_beside_its_batches(ask: Asked) -> None:
    rows = ask(
        "SELECT verdict, jobs_verdict, jobs_at, jobs_error, jobs, job_images, annotated, approved, rejected, "
        "intake, annotated_work FROM analytics.observation WHERE project = 'cars' ORDER BY observed_at"
    )
    assert rows[0] == ("changed", "unchanged", feb(1) + MINUTE, None, 0, 0, 0, 0, 0, None, None)
    assert rows[2] == ("failed", None, None, None, 1, 60, 0, 0, 0, None, None)
    assert rows[3] == ("changed", "changed", feb(4) + MINUTE, None, 1, 60, 30, 0, 0, 20, 30)
    assert rows[7] == ("unchanged", "failed", feb(8), "status 502", 2, 140, 140, 50, 10, 0, None)


def test_a_project_has_its_true_size_and_says_how_old_its_numbers_are(ask: Asked) -> None:
    assert ask(
        "SELECT images, jobs, job_images, annotated, approved, rejected, size, last_observed_at, "
        "jobs_observed_at, round(age_s - extract(EPOCH FROM now() - last_observed_at)), is_kept "
        "FROM analytics.project WHERE project = 'cars'"
    ) == [(15, 2, 140, 140, 50, 10, 155, feb(8), feb(7) + MINUTE, 0, None)]


def test_a_project_whose_jobs_were_never_read_has_no_size(ask: Asked) -> None:
    assert ask(
        "SELECT images, jobs, job_images, annotated, size, jobs_observed_at "
        "FROM analytics.project WHERE project = 'bikes'"
    ) == [(90, None, None, None, None, None)]
    assert ask(
        "SELECT DISTINCT jobs, remaining, annotated_work, is_jobs_observed "
        "FROM analytics.project_daily WHERE project = 'bikes'"
    ) == [(None, None, None, False)]


def test_a_job_is_as_last_believed(ask: Asked) -> None:
    assert ask(
        "SELECT job_id, status, batch_id, images, annotated, unannotated, approved, rejected, created_at, "
        "first_seen_at, changed_at, last_seen_at, gone_at FROM analytics.job "
        "WHERE workspace = 'acme' AND project = 'cars' ORDER BY job_id"
    ) == [
        (
            "J1",
            "complete",
            "A",
            60,
            60,
            0,
            50,
            10,
            feb(2, 9),
            feb(2, 12, 1),
            feb(5, 12, 1),
            feb(7, 12, 1),
            None,
        ),
        (
            "J2",
            "complete",
            "A",
            80,
            80,
            0,
            0,
            0,
            feb(6, 10),
            feb(6, 12, 1),
            feb(7, 12, 1),
            feb(7, 12, 1),
            None,
        ),
    ]


def test_a_job_has_its_changes_and_its_states(ask: Asked) -> None:
    assert ask(
        "SELECT kind, observed_at, changed_after, annotated, annotated_delta, approved_delta, "
        "rejected_delta, images_delta, batch_id FROM analytics.job_change WHERE job_id = 'J1' "
        "ORDER BY observed_at"
    ) == [
        ("entered", feb(2, 12, 1), feb(1, 12, 1), 0, 0, 0, 0, 60, "A"),
        ("changed", feb(4, 12, 1), feb(2, 12, 1), 30, 30, 0, 0, 0, "A"),
        ("changed", feb(5, 12, 1), feb(4, 12, 1), 60, 30, 50, 10, 0, "A"),
    ]
    assert ask(
        "SELECT annotated, valid_from, valid_to, changed_after FROM analytics.job_history "
        "WHERE job_id = 'J1' ORDER BY valid_from"
    ) == [
        (0, feb(2, 12, 1), feb(4, 12, 1), feb(1, 12, 1)),
        (30, feb(4, 12, 1), feb(5, 12, 1), feb(2, 12, 1)),
        (60, feb(5, 12, 1), None, feb(4, 12, 1)),
    ]


def test_a_job_that_left_has_no_state_any_more(ask: Asked) -> None:
    assert ask("SELECT images, gone_at IS NULL FROM analytics.job WHERE job_id = 'gone'") == [(0, False)]
    assert ask("SELECT valid_to IS NULL FROM analytics.job_history WHERE job_id = 'gone'") == [(False,)]
    assert ask("SELECT kind FROM analytics.job_change WHERE job_id = 'gone' ORDER BY observed_at") == [
        ("entered",),
        ("left",),
    ]


def test_the_lead_time_of_a_batch_is_told_as_intervals(ask: Asked) -> None:
    rows = ask(
        "SELECT batch_id, first_job_at, assigned_after, assigned_by, completed_after, completed_by, "
        "to_first_job_s, to_assigned_s, to_completed_s FROM analytics.batch_lead_time "
        "WHERE project = 'cars' ORDER BY batch_id"
    )
    # Uploaded on 31 January at noon: 45 hours, 6 days, 7 days and a minute.
    hour, day = 3_600, 86_400
    moments = (feb(2, 9), feb(5), feb(6), feb(6, 12, 1), feb(7, 12, 1))
    assert rows == [
        ("A", *moments, 45 * hour, 6 * day, 7 * day + 60),
        # B was merged: what it held was never assigned. C and D wait.
        *((batch, *[None] * 8) for batch in ("B", "C", "D")),
    ]


def test_what_left_with_images_was_not_assigned_and_what_left_without_was(ask: Asked) -> None:
    assert ask(
        "SELECT batch_id, first_job_at, assigned_by, gone_at FROM analytics.batch_lead_time "
        "WHERE project = 'twins' AND gone_at IS NOT NULL ORDER BY batch_id"
    ) == [("K", feb(2), feb(2), feb(3)), ("M", feb(1), None, feb(3))]


# Heirs: E, of which a job was made on its day, is merged into the younger F, and its job with it. Of F itself
# another job is made at nine the day after.


def _tell_of_heirs(history: History) -> None:
    e, f = Images(30, 1, "old", feb(1)), Images(50, 0, "young", feb(3))
    old = Work("E", 20, created_at=feb(1, 18))
    history.project("heirs", feb(2))
    history.see("heirs", feb(2), {"E": e}, {"old": old})
    history.see("heirs", feb(4), {"E": e, "F": f}, {"old": old}, flows=Flows(intake=50), done=Done())
    f, old = f._replace(images=80, num_jobs=1), old._replace(batch_id="F")
    history.see("heirs", feb(5), {"F": f}, {"old": old}, flows=Flows(moved=30), done=Done())
    f, own = f._replace(images=70, num_jobs=2), Work("F", 10, created_at=feb(6, 9))
    history.see("heirs", feb(6), {"F": f}, {"old": old, "own": own}, flows=Flows(assigned=10), done=Done())


def test_a_job_that_is_older_than_its_batch_was_not_made_from_it(ask: Asked) -> None:
    rows = ask(
        "SELECT batch_id, first_job_at, to_first_job_s FROM analytics.batch_lead_time "
        "WHERE project = 'heirs' ORDER BY batch_id"
    )
    # Of F it is known since noon of the 5th that there are jobs: two days after its upload.
    # Of E the first observation found it, so that nobody knows since when.
    assert rows == [("E", feb(2), None), ("F", feb(5), 2 * 86_400)]


def test_how_far_a_batch_is(ask: Asked) -> None:
    rows = ask(
        "SELECT batch_id, backlog, jobs, assigned, size, annotated, approved, rejected, share_assigned, "
        "share_annotated, share_approved, share_rejected, is_complete, last_observed_at, jobs_observed_at "
        "FROM analytics.batch_progress WHERE workspace = 'acme' AND project = 'cars' ORDER BY batch_id"
    )
    known = (feb(8), feb(7) + MINUTE)
    assert rows == [
        ("A", 0, 2, 140, 140, 140, 50, 10, 1, 1, 50 / 140, 10 / 140, True, *known),
        ("C", 5, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, False, *known),
        ("D", 10, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, False, *known),
    ]


def test_of_a_batch_with_jobs_that_were_never_read_the_size_is_not_known(ask: Asked) -> None:
    rows = ask(
        "SELECT batch_id, num_jobs, jobs, size, share_assigned, is_complete FROM analytics.batch_progress "
        "WHERE project = 'bikes' AND batch_id IN ('P', 'R') ORDER BY batch_id"
    )
    assert rows == [("P", 1, None, None, None, None), ("R", 0, 0, 50, 0, False)]


def test_jobs_that_are_gone_count_for_nothing(ask: Asked) -> None:
    rows = ask("SELECT jobs, size, is_complete FROM analytics.batch_progress WHERE batch_id = 'w4'")
    assert rows == [(0, 10, False)]


def test_a_batch_that_was_never_observed_is_there_by_its_jobs(ask: Asked) -> None:
    assert ask(
        "SELECT name, backlog, jobs, size, share_annotated, is_complete "
        "FROM analytics.batch_progress WHERE batch_id = 'from before'"
    ) == [(None, 0, 1, 8, 0.5, False)]


# Bikes, whose jobs are never read: what entered one batch had left two; then one batch gave to some of three.
#
# 1 Feb    P 30, Q 30, R 10
# 2 Feb    P 0, Q 0, R 70            R gained what the two lost: 60 moved
# 3 Feb    P 0, Q 0, R 50, T 12, U 18, V 10
#                                    R lost 20, the new ones have 40: 20 moved, 20 are new
# 4 Feb    Q left with nothing


def _tell_of_bikes(history: History) -> None:
    p, q, r = Images(30, 1, "p"), Images(30, 0, "q"), Images(10, 0, "r")
    history.project("bikes", feb(1))
    history.see("bikes", feb(1), {"P": p, "Q": q, "R": r})
    p, q, r = p._replace(images=0), q._replace(images=0), r._replace(images=70)
    history.see("bikes", feb(2), {"P": p, "Q": q, "R": r}, flows=Flows(moved=60))
    new = {"T": Images(12), "U": Images(18), "V": Images(10)}
    r = r._replace(images=50)
    history.see("bikes", feb(3), {"P": p, "Q": q, "R": r, **new}, flows=Flows(intake=20, moved=20))
    history.see("bikes", feb(4), {"P": p, "R": r, **new}, flows=Flows())


# Twins, whose jobs are never read: two lost as many as two others gained, and nobody knows which went where.
# Of K it is known that its images went to a job, although a new one has as many. Then K left, and M with what
# it held.


def _tell_of_twins(history: History) -> None:
    one, five = Images(1), Images(5)
    history.project("twins", feb(1))
    history.see(
        "twins", feb(1), {"E": five, "F": five, "G": one, "H": one, "K": Images(7), "M": Images(9, 1)}
    )
    none, six = Images(0), Images(6)
    after = {"E": none, "F": none, "G": six, "H": six, "L": Images(7)}
    flows = Flows(intake=7, moved=10, assigned=7)
    history.see("twins", feb(2), after | {"K": Images(0, 1), "M": Images(9, 1)}, flows=flows)
    history.see("twins", feb(3), after, flows=Flows(removed=9))


def test_where_images_likely_went(ask: Asked) -> None:
    rows = ask(
        "SELECT observed_at, changed_after, from_batch_id, from_name, to_batch_id, to_name, images, kind, "
        "likelihood FROM analytics.batch_move WHERE workspace = 'acme' AND project = 'cars' "
        "ORDER BY observed_at"
    )
    assert rows == [
        (feb(5), feb(4), "B", "second", "A", "first", 40, "merged into", "likely"),
        (feb(6), feb(5), "C", "third", "D", "fourth", 15, "split from", "likely"),
    ]


def test_where_several_would_do_a_move_is_only_possible(ask: Asked) -> None:
    rows = ask(
        "SELECT from_batch_id, to_batch_id, images, kind, likelihood FROM analytics.batch_move "
        "WHERE project = 'bikes' ORDER BY observed_at, from_batch_id, images DESC"
    )
    assert rows == [
        ("P", "R", 30, "moved", "likely"),
        ("Q", "R", 30, "moved", "likely"),
        ("R", "U", 18, "split from", "possible"),
        ("R", "T", 2, "split from", "possible"),
    ]


def test_of_twins_nobody_knows_which_went_where_and_what_was_assigned_did_not_move(ask: Asked) -> None:
    assert ask(
        "SELECT from_batch_id, to_batch_id, images, kind, likelihood FROM analytics.batch_move "
        "WHERE project = 'twins' ORDER BY from_batch_id"
    ) == [("E", "G", 5, "moved", "possible"), ("F", "H", 5, "moved", "possible")]


def test_every_moved_image_has_its_pair(ask: Asked) -> None:
    assert (
        ask(
            "SELECT observation.observation_id FROM analytics.observation LEFT JOIN analytics.batch_move "
            "USING (observation_id) WHERE moved > 0 GROUP BY observation.observation_id, moved "
            "HAVING moved IS DISTINCT FROM sum(batch_move.images)"
        )
        == []
    )


# Nights, observed around the midnights of St. John's (UTC-3:30, from 10 March 2024, 2 o'clock, on UTC-2:30)
# and of Kolkata (UTC+5:30).
#
#       UTC              St. John's       Kolkata            images
#  9 March 20:00         9th 16:30       10th 01:30          10, the baseline
# 10 March 03:00         9th 23:30       10th 08:30          +5
# 11 March 02:40        11th 00:10       11th 08:10          +7
# 12 March 19:00        12th 16:30       13th 00:30          +1
# 15 March 01:00 to     14th 22:30 to    15th 06:30 to       unchanged, 23 of them, folded
# 15 March 23:00        15th 20:30       16th 04:30


def _tell_of_nights(history: History) -> None:
    def at(day: int, hour: int, minute: int = 0) -> datetime:
        return datetime(2024, 3, day, hour, minute, tzinfo=UTC)

    history.project("nights", at(9, 20))
    history.see("nights", at(9, 20), {"N": Images(10)})
    history.see("nights", at(10, 3), {"N": Images(15)}, flows=Flows(intake=5))
    history.see("nights", at(11, 2, 40), {"N": Images(22)}, flows=Flows(intake=7))
    history.see("nights", at(12, 19), {"N": Images(23)}, flows=Flows(intake=1))
    history.see("nights", at(15, 23), {"N": Images(23)}, span_from=at(15, 1), span_count=23)


def _nights(ask: Asked, grain: str, zone: str, *bounds: datetime | None) -> Rows:
    begin, end = bounds or (None, None)
    return ask(
        "SELECT period_start, period_end, images, intake, is_observed "
        "FROM analytics.project_period(%s, %s, %s, %s, 'acme', 'nights') ORDER BY period_start",
        grain,
        zone,
        begin,
        end,
    )


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(f"2024-{text}:00Z")


def test_days_of_a_zone_begin_at_its_midnight_even_when_its_clocks_are_set(ask: Asked) -> None:
    assert _nights(ask, "day", "America/St_Johns")[:8] == [
        (_instant("03-09T03:30"), _instant("03-10T03:30"), 15, 5, True),
        # A day of 23 hours, on which nobody looked.
        (_instant("03-10T03:30"), _instant("03-11T02:30"), 15, None, False),
        (_instant("03-11T02:30"), _instant("03-12T02:30"), 22, 7, True),
        (_instant("03-12T02:30"), _instant("03-13T02:30"), 23, 1, True),
        (_instant("03-13T02:30"), _instant("03-14T02:30"), 23, None, False),
        (_instant("03-14T02:30"), _instant("03-15T02:30"), 23, 0, True),
        (_instant("03-15T02:30"), _instant("03-16T02:30"), 23, 0, True),
        (_instant("03-16T02:30"), _instant("03-17T02:30"), 23, None, False),
    ]


def test_the_same_history_has_other_days_elsewhere(ask: Asked) -> None:
    assert _nights(ask, "day", "Asia/Kolkata")[:8] == [
        (_instant("03-09T18:30"), _instant("03-10T18:30"), 15, 5, True),
        (_instant("03-10T18:30"), _instant("03-11T18:30"), 22, 7, True),
        (_instant("03-11T18:30"), _instant("03-12T18:30"), 22, None, False),
        (_instant("03-12T18:30"), _instant("03-13T18:30"), 23, 1, True),
        (_instant("03-13T18:30"), _instant("03-14T18:30"), 23, None, False),
        (_instant("03-14T18:30"), _instant("03-15T18:30"), 23, 0, True),
        (_instant("03-15T18:30"), _instant("03-16T18:30"), 23, 0, True),
        (_instant("03-16T18:30"), _instant("03-17T18:30"), 23, None, False),
    ]


@pytest.mark.parametrize("zone", ["America/St_Johns", "Asia/Kolkata", "UTC", "Pacific/Kiritimati"])
@pytest.mark.parametrize("grain", ["day", "week", "month", "quarter", "year"])
def test_periods_follow_one_another_without_holes_until_now(ask: Asked, grain: str, zone: str) -> None:
    rows = _nights(ask, grain, zone)
    assert [one[1] for one in rows[:-1]] == [other[0] for other in rows[1:]]
    assert rows[0][0] <= _instant("03-09T20:00") < rows[0][1]
    assert rows[-1][0] <= datetime.now(UTC) < rows[-1][1]
    assert sum(row[3] or 0 for row in rows) == 13
    if grain == "day" and zone == "America/St_Johns":
        assert {one[1] - one[0] for one in rows} == {timedelta(hours=hours) for hours in (23, 24, 25)}


def test_periods_are_those_that_were_asked_for(ask: Asked) -> None:
    bounds = _instant("03-11T12:00"), _instant("03-12T18:30")
    rows = _nights(ask, "day", "Asia/Kolkata", *bounds)
    assert [(row[0], row[2]) for row in rows] == [
        (_instant("03-10T18:30"), 22),
        (_instant("03-11T18:30"), 22),
    ]
    before, after = pairwise((_instant("03-01T00:00"), _instant("03-04T00:00"), datetime.now(UTC) + 9 * DAY))
    assert _nights(ask, "week", "UTC", *before) == []
    assert len(_nights(ask, "week", "UTC", *after)) == len(_nights(ask, "week", "UTC"))


def test_observed_days_of_a_period_are_those_of_its_zone(ask: Asked) -> None:
    query = (
        "SELECT days, observed_days FROM analytics.project_period('month', %s, NULL, NULL, 'acme', 'nights') "
        "ORDER BY period_start LIMIT 2"
    )
    # St. John's: 9, 11, 12, 14, 15 March, known since the 9th. Kolkata: 10, 11, 13, 15, 16, since the 10th.
    assert ask(query, "America/St_Johns") == [(23, 5), (30, 0)]
    assert ask(query, "Asia/Kolkata") == [(22, 5), (30, 0)]


def test_a_grain_or_a_zone_that_does_not_exist_is_refused(ask: Asked) -> None:
    with pytest.raises(psycopg.Error, match=r'time zone "Europe/Atlantis" not recognized'):
        ask("SELECT FROM analytics.project_period('day', 'Europe/Atlantis')")
    for grain in ("hour", "fortnight", "Day", None):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"is no grain") as refused:
            ask("SELECT FROM analytics.project_period(%s, 'UTC')", grain)
        assert refused.value.diag.message_hint == "It is day, week, month, quarter or year."


# Havana sets its clocks back to midnight: at 05:00Z of 3 November 2024 it is 0 o'clock for the second time.
# The project was first observed in the hour before, which both days may claim, and 5 images came in it.


def _tell_of_havana(history: History) -> None:
    first = datetime(2024, 11, 3, 4, 30, tzinfo=UTC)
    history.project("havana", first)
    history.see("havana", first, {"H": Images(10)})
    history.see("havana", first + 15 * MINUTE, {"H": Images(15)}, flows=Flows(intake=5))
    history.see("havana", first + 60 * MINUTE, {"H": Images(17)}, flows=Flows(intake=2))


def test_a_day_on_which_midnight_comes_twice_ends_at_the_second(ask: Asked) -> None:
    rows = ask(
        "SELECT period_start, period_end, images, intake, days, observed_days "
        "FROM analytics.project_period('day', 'America/Havana', NULL, '2024-11-04Z', 'acme', 'havana') "
        "ORDER BY period_start"
    )
    midnights = [datetime(2024, 11, day, hour, tzinfo=UTC) for day, hour in ((2, 4), (3, 5), (4, 5))]
    assert rows == [(*midnights[:2], 15, 5, 1, 1), (*midnights[1:], 17, 2, 1, 1)]


# Waiting: batches of six ages. A job was made from w3, and one that is gone since from w4; w5 has had one by
# its own count. Observed 11 and 9 days ago, when w10 grew, 2 days ago, and an hour ago.

_NOW: Final = datetime.now(UTC)
_SEEN: Final = _NOW - timedelta(hours=1)
_TODAY: Final = _NOW.replace(hour=0, minute=0, second=0, microsecond=0)
_UPLOADED: Final = {
    "w0": timedelta(hours=2),
    "w3": 3 * DAY,
    "w4": 4 * DAY,
    "w5": 5 * DAY,
    "w10": 10 * DAY,
    "w40": 40 * DAY,
    "w100": 100 * DAY,
    "w101": 101 * DAY,
}


def _tell_of_waiting(history: History) -> None:
    batches = {name: Images(10, 0, name, _NOW - age) for name, age in _UPLOADED.items()}
    batches["unknown"] = Images(10)
    batches["empty"] = Images(0, 1)
    batches["w5"] = batches["w5"]._replace(num_jobs=1)
    early = {name: batches[name] for name in ("w10", "w40", "w100", "w101", "unknown")}
    open_job, done = Work("w3", 9, 4), Work("w3", 5, 5, status="complete")
    review, silent = Work("w3", 7, 7, approved=2), Work("w3", 6, None, None, None, None)
    jobs = {"open": open_job, "done": done, "review": review, "silent": silent}
    jobs["before"] = Work("from before", 8, 4)
    history.project("waiting", _NOW - 11 * DAY)
    history.see("waiting", _NOW - 11 * DAY, early, jobs | {"gone": Work("w4", 3)})
    early["w10"] = batches["w10"] = batches["w10"]._replace(images=11)
    jobs["open"] = open_job._replace(annotated=5)
    history.see("waiting", _NOW - 9 * DAY, early, jobs, flows=Flows(intake=1), done=Done(1))
    late = {name: one for name, one in batches.items() if name != "w0"}
    history.see("waiting", _NOW - 2 * DAY, late, jobs, flows=Flows(intake=30))
    batches["w5"] = batches["w5"]._replace(num_jobs=0)
    history.see("waiting", _SEEN, batches, jobs, flows=Flows(intake=10))


def test_the_backlog_has_the_age_of_each_batch_and_says_which_are_untouched(ask: Asked) -> None:
    rows = ask(
        "SELECT batch_id, images, age_bucket, age_order, is_untouched, last_observed_at, "
        "round(age_s / 86400), round(observed_age_s / 3600) FROM analytics.backlog "
        "WHERE workspace = 'acme' AND project = 'waiting' ORDER BY uploaded_at DESC NULLS LAST"
    )
    assert rows == [
        ("w0", 10, "under 1 day", 1, True, _SEEN, 0, 1),
        ("w3", 10, "1 to 7 days", 2, False, _SEEN, 3, 1),
        ("w4", 10, "1 to 7 days", 2, False, _SEEN, 4, 1),
        ("w5", 10, "1 to 7 days", 2, False, _SEEN, 5, 1),
        ("w10", 11, "7 to 30 days", 3, True, _SEEN, 10, 1),
        ("w40", 10, "30 to 90 days", 4, True, _SEEN, 40, 1),
        ("w100", 10, "over 90 days", 5, True, _SEEN, 100, 1),
        ("w101", 10, "over 90 days", 5, True, _SEEN, 101, 1),
        ("unknown", 10, "unknown", 6, True, _SEEN, None, 1),
    ]


def test_ages_of_the_backlog_are_added_up(ask: Asked) -> None:
    rows = ask(
        "SELECT age_bucket, batches, images, oldest_batch_id, oldest_uploaded_at, last_observed_at "
        "FROM analytics.backlog_age WHERE project = 'waiting' ORDER BY age_order"
    )
    assert rows == [
        ("under 1 day", 1, 10, "w0", _NOW - _UPLOADED["w0"], _SEEN),
        ("1 to 7 days", 3, 30, "w5", _NOW - 5 * DAY, _SEEN),
        ("7 to 30 days", 1, 11, "w10", _NOW - 10 * DAY, _SEEN),
        ("30 to 90 days", 1, 10, "w40", _NOW - 40 * DAY, _SEEN),
        ("over 90 days", 2, 20, "w101", _NOW - 101 * DAY, _SEEN),
        ("unknown", 1, 10, "unknown", None, _SEEN),
    ]


def test_what_stands_still_is_told_until_it_was_last_observed(ask: Asked) -> None:
    rows = ask(
        "SELECT kind, batch_id, job_id, images, round(idle_s / 86400), is_stalled FROM analytics.stalled "
        "WHERE workspace = 'acme' AND project = 'waiting' ORDER BY kind, job_id, batch_id COLLATE \"C\""
    )
    assert rows == [
        ("batch", "unknown", None, 10, 11, True),
        ("batch", "w0", None, 10, 0, False),
        ("batch", "w10", None, 11, 9, True),
        ("batch", "w100", None, 10, 11, True),
        ("batch", "w101", None, 10, 11, True),
        ("batch", "w3", None, 10, 2, False),
        ("batch", "w4", None, 10, 2, False),
        ("batch", "w40", None, 10, 11, True),
        ("batch", "w5", None, 10, 0, False),
        ("job", "from before", "before", 4, 11, True),
        # Four of nine are left; all are annotated, and five not approved; and nothing is known of six.
        ("job", "w3", "open", 4, 9, True),
        ("job", "w3", "review", 5, 11, True),
        ("job", "w3", "silent", 6, 11, True),
    ]


# Paces, each seen at noon of the days before today.
#
# "steady", with jobs: 60 wait, 175 are in jobs. Annotated 10, 20, 10, 20, then after two days on which nobody
# looked 54, then 10, 11, each day with 5 new ones. So in 9 days 135 were annotated, 15 a day, and 45 came:
# 10 a day net. The seven stretches are -5, 5, -5, 5, 9, -5, -4 away from that, one of them in three days: a
# variance of (5 * 25 + 81 / 3 + 16) / (7 - 1) = 28 a day, and a standard error of sqrt(28 / 9) = 1.764. Of
# the 235, 135 are annotated: 100 remain, which takes 10 days. With z = 1.28155 the edges are the roots of
# (100 - z^2 * 28 / 9) t^2 - (2000 + z^2 * 28) t + 10000, which are 7.49 and 14.07 days.
#
# "even", without jobs: 12 assigned a day, 2 new, 30 wait, always alike: 3 days, as certain as that goes on.
# "losing", without jobs: 2 assigned a day, 12 new: it does not end. "short": only four days after the first.
# "done": nothing is left.


def _tell_of_paces(history: History) -> None:
    history.project("steady", noon(10))
    done = 0
    history.see("steady", noon(10), {"S": Images(15)}, {"J": Work("S", 175)})
    for days_ago, annotated in ((9, 10), (8, 20), (7, 10), (6, 20), (3, 54), (2, 10), (1, 11)):
        new = 15 if days_ago == 3 else 5
        done += annotated
        waiting = 15 + 5 * (10 - days_ago)
        history.see(
            "steady",
            noon(days_ago),
            {"S": Images(waiting)},
            {"J": Work("S", 175, done)},
            flows=Flows(intake=new),
            done=Done(annotated),
        )
    for name, days, assigned, new, left in (
        ("even", 6, 12, 2, 30),
        ("losing", 6, 2, 12, 90),
        ("short", 4, 12, 2, 30),
        ("done", 6, 12, 2, 0),
    ):
        history.project(name, noon(days + 1))
        for days_ago in range(days + 1, 0, -1):
            waiting = left + (assigned - new) * (days_ago - 1)
            flows = None if days_ago > days else Flows(intake=new, assigned=assigned)
            history.see(name, noon(days_ago), {"S": Images(waiting, days - days_ago + 1)}, flows=flows)
    # Today, which is not over, nothing has been done yet.
    history.see("even", _NOW, {"S": Images(30, 6)}, flows=Flows())


def _forecast(ask: Asked, project: str, columns: str) -> tuple[Any, ...]:
    (row,) = ask(
        f"SELECT {columns} FROM analytics.forecast WHERE workspace = 'acme' AND project = %s", project
    )
    return row


_ENDS: Final = ", ".join(
    f"end_{which} - (last_observed_at AT TIME ZONE 'UTC')::date" for which in ("early", "likely", "late")
)


def test_an_end_is_estimated_with_its_range(ask: Asked) -> None:
    row = _forecast(
        ask,
        "steady",
        "basis, backlog, remaining, observed_days, elapsed_days, intake_per_day, intake_se, "
        f"annotated_per_day, annotated_se, net_per_day, net_se, {_ENDS}",
    )
    assert row[:8] == ("annotated", 60, 100, 7, 9, 5, 0, 15)
    assert row[8:11] == (pytest.approx((28 / 9) ** 0.5), 10, pytest.approx((28 / 9) ** 0.5))
    assert row[11:] == (8, 10, 15)


def test_without_jobs_the_end_is_that_of_the_backlog(ask: Asked) -> None:
    row = _forecast(
        ask,
        "even",
        "basis, backlog, remaining, observed_days, assigned_per_day, assigned_se, annotated_per_day, "
        f"annotated_se, net_per_day, net_se, {_ENDS}",
    )
    assert row == ("assigned", 30, None, 6, 12, 0, None, None, 10, 0, 3, 3, 3)


def test_what_does_not_end_has_no_end(ask: Asked) -> None:
    assert _forecast(ask, "losing", f"net_per_day, {_ENDS}") == (-10, None, None, None)


def test_too_few_days_have_rates_and_no_end(ask: Asked) -> None:
    assert _forecast(ask, "short", f"observed_days, net_per_day, {_ENDS}") == (4, 10, None, None, None)
    assert _forecast(ask, "cars", f"observed_days, net_per_day, net_se, {_ENDS}") == (0, *[None] * 5)


def test_what_is_done_has_ended(ask: Asked) -> None:
    assert _forecast(ask, "done", _ENDS) == (0, 0, 0)


# In and out of step. "behind" and "caught": of A a job took 40 of 140, and is complete; on the third day
# another took the other 100, but the list of jobs could not be read until the day after, which only "caught"
# sees. "twice" and "settled": a job took all 100 of A, which left, and what is told of the batches is not
# believed before the next day, which only "settled" sees. B is beside it all.

_B: Final = Images(50, 0, "b")


def _tell_of_steps(history: History) -> None:
    a, whole = Images(100, 1, "a"), Images(0, 2, "a")
    j1, j2 = Work("A", 40, 40, status="complete"), Work("A", 100, 10)
    unread: dict[str, Any] = {
        "jobs_verdict": "failed",
        "jobs_at": noon(3) + MINUTE,
        "jobs_error_class": "TransientError",
        "jobs_error": "status 502",
    }
    for name in ("behind", "caught"):
        history.project(name, noon(5))
        history.see(name, noon(5), {"A": a}, {"T1": j1})
        history.see(name, noon(4), {"A": a}, {"T1": j1}, flows=Flows(), done=Done())
        history.see(name, noon(3), {"A": whole}, flows=Flows(assigned=100), **unread)
    history.see("caught", noon(2), {"A": whole}, {"T1": j1, "T2": j2}, flows=Flows(), done=Done())
    took = {"J": Work("A", 100)}
    for name in ("twice", "settled"):
        history.project(name, noon(4))
        history.see(name, noon(4), {"A": Images(100), "B": _B}, {})
        history.see(
            name, noon(3), {"A": Images(100), "B": _B}, took, flows=Flows(), done=Done(), rule="mass absence"
        )
    history.see("settled", noon(2), {"B": _B}, took, flows=Flows(assigned=100), done=Done())


@pytest.mark.parametrize(
    ("project", "days"),
    [
        ("behind", [(100, True), (100, True), (0, False), (0, False)]),
        ("caught", [(100, True), (100, True), (0, False), (90, True)]),
        ("twice", [(150, True), (250, False), (250, False)]),
        ("settled", [(150, True), (250, False), (150, True)]),
    ],
)
def test_what_was_not_seen_together_is_marked_where_it_is_added_up(
    ask: Asked, project: str, days: Rows
) -> None:
    query = "SELECT remaining, is_in_step FROM analytics.burn_down WHERE project = %s ORDER BY day LIMIT %s"
    assert ask(query, project, len(days)) == days
    last = "SELECT remaining, is_in_step, end_likely FROM analytics.forecast WHERE project = %s"
    assert ask(last, project) == [(*days[-1], None)]
    now = "SELECT is_in_step FROM analytics.project WHERE project = %s"
    assert ask(now, project) == [(days[-1][1],)]


@pytest.mark.parametrize(
    ("project", "expected"),
    [
        ("behind", [("A", 40, False, None)]),
        ("caught", [("A", 140, True, False)]),
        ("twice", [("A", 200, False, None), ("B", 50, True, False)]),
        ("settled", [("A", 100, True, False), ("B", 50, True, False)]),
    ],
)
def test_a_batch_is_not_complete_while_its_jobs_are_not_known(
    ask: Asked, project: str, expected: Rows
) -> None:
    rows = ask(
        "SELECT batch_id, size, is_in_step, is_complete FROM analytics.batch_progress "
        "WHERE project = %s ORDER BY batch_id",
        project,
    )
    assert rows == expected
    query = "SELECT completed_by FROM analytics.batch_lead_time WHERE project = %s"
    assert {at for (at,) in ask(query, project)} == {None}


# Ways of a batch, each another end, in projects that were first observed ten days ago:
#
# "found": three batches, uploaded 400 days ago and complete a day later, and one whose job does not say since
#          when.
# "ways":  V's last images went to a job, and it left in the same observation; W left with 100, of which a job
#          took 60; X was empty and without a job at first, and then had one; of Y a job was complete, and one
#          was not, before both were cleaned up; Z gave 70 of its images to B, and 30 to a job.
# "first": the jobs are first read when U is gone.


def _tell_of_ways(history: History) -> None:
    uploaded_at = noon(400)
    found = {f"F{nth}": Images(0, 1, None, uploaded_at) for nth in range(4)}
    jobs = {f"R{nth}": Work(f"F{nth}", 10, 10, 0, 0, "complete", noon(399)) for nth in range(3)}
    history.project("found", noon(10))
    history.see("found", noon(10), found, jobs | {"R3": Work("F3", 10, 10, status="complete")})

    full = Images(100, 0, None, noon(11))
    none, one = full._replace(images=0), full._replace(images=0, num_jobs=1)
    w, z = full, full
    y, kept = full._replace(images=60), Work("Y", 40, 20)
    history.project("ways", noon(10))
    before = {"V": full, "W": w, "X": none, "Y": full, "Z": z, "B": _B}
    history.see("ways", noon(10), before, {})
    after = {"X": one, "Y": y._replace(images=0, num_jobs=2), "Z": one, "B": _B._replace(images=120)}
    made = {
        "V": Work("V", 100, created_at=noon(9) - MINUTE),
        "W": Work("W", 60),
        "X": Work("X", 5),
        "Y": Work("Y", 60),
        "Y2": kept,
        "Z": Work("Z", 30),
    }
    flows = Flows(moved=70, assigned=290, removed=40)
    history.see("ways", noon(9), after, made, flows=flows, done=Done(20))
    finished = {
        name: job._replace(annotated=job.images, status="complete")
        for name, job in made.items()
        if name != "Y2"
    }
    history.see("ways", noon(8), after, finished | {"Y2": kept}, flows=Flows(), done=Done(235))
    cleaned = {name: job for name, job in finished.items() if name != "Y"}
    history.see("ways", noon(7), after, cleaned, flows=Flows(), done=Done())

    history.project("first", noon(10))
    history.see("first", noon(10), {"U": full})
    history.see(
        "first", noon(9), {}, {"J": Work("U", 100, created_at=noon(9) - MINUTE)}, flows=Flows(removed=100)
    )


def _lead_times(ask: Asked, project: str) -> dict[str, tuple[Any, ...]]:
    rows = ask(
        "SELECT batch_id, assigned_after, assigned_by, completed_after, completed_by, to_first_job_s, "
        "to_assigned_s, to_completed_s FROM analytics.batch_lead_time WHERE project = %s",
        project,
    )
    return {batch_id: tuple(row) for batch_id, *row in rows}


def test_what_was_done_before_anybody_looked_has_no_length(ask: Asked) -> None:
    done = (None, noon(10), None, noon(10) + MINUTE)
    day = 86_400
    assert _lead_times(ask, "found") == {
        **{f"F{nth}": (*done, day, None, None) for nth in range(3)},
        "F3": (*done, None, None, None),
    }


def test_each_way_of_a_batch_has_its_moments(ask: Asked) -> None:
    day, minute = 86_400, 60
    assigned, seen = (noon(10), noon(9)), (noon(9) + MINUTE, noon(8) + MINUTE)
    lengths = (2 * day, 3 * day + minute)
    nothing = (None,) * 7
    found = _lead_times(ask, "ways")
    assert found["V"] == (*assigned, *seen, 2 * day - minute, *lengths)
    assert found["W"] == nothing
    assert [found[name] for name in "XYZ"] == [(*assigned, *seen, 2 * day, *lengths)] * 3
    assert found["B"] == nothing


def test_the_first_list_of_jobs_may_tell_where_a_batch_went(ask: Asked) -> None:
    expected = (noon(10), noon(9), None, None, 2 * 86_400 - 60, 2 * 86_400, None)
    assert _lead_times(ask, "first") == {"U": expected}


# Ends that are not to be told, and such as are. Without jobs:
#
# "turning": falls by 2 and grows by 22 in turn, 10 a day more, until today 100 of 110 were removed. The early
#            edge turns back before it has come to nothing.
# "distant": 10 a day of 90,000.
# "silent":  10 a day of 30, ten days ago.
# "late":    5 and 15 a day in turn, and 110 were left ten days ago: the likely end is tomorrow, the early one
#            over.
# "jobless": nobody has ever seen a job; 3 a day are removed, and 30 are left.
#
# "cleared", with jobs: 5 a day are annotated, 50 removed, and 550 are left.


def _tell_of_ends(history: History) -> None:
    _tell_of_falls(history, "turning", 0, 50, [2, -22] * 3)
    history.see("turning", _NOW, {"S": Images(10, 6)}, flows=Flows(removed=100))
    _tell_of_falls(history, "distant", 0, 90_060, [10] * 6)
    _tell_of_falls(history, "silent", 9, 90, [10] * 6)
    _tell_of_falls(history, "late", 9, 170, [5, 15] * 3)
    history.project("jobless", noon(7))
    for days_ago in range(7, 0, -1):
        flows = Flows(removed=3) if days_ago < 7 else None
        history.see("jobless", noon(days_ago), {"S": Images(27 + 3 * days_ago)}, flows=flows)
    history.project("cleared", noon(7))
    for days_ago in range(7, 0, -1):
        annotated = 5 * (7 - days_ago)
        batches, jobs = {"S": Images(400 + 50 * days_ago, 1)}, {"J": Work("S", 130, annotated)}
        told: dict[str, Any] = {"flows": Flows(removed=50), "done": Done(5)} if days_ago < 7 else {}
        history.see("cleared", noon(days_ago), batches, jobs, **told)


def _tell_of_falls(history: History, name: str, end: int, images: int, falls: list[int]) -> None:
    """Let the backlog of a project fall by so much, day by day, until `end` days before yesterday."""
    days = len(falls) + 1 + end
    history.project(name, noon(days))
    history.see(name, noon(days), {"S": Images(images)})
    for nth, fall in enumerate(falls, 1):
        images -= fall
        flows = Flows(intake=max(-fall, 0), assigned=max(fall, 0))
        history.see(name, noon(days - nth), {"S": Images(images, nth)}, flows=flows)


_FROM_TODAY: Final = ", ".join(
    f"end_{which} - (now() AT TIME ZONE 'UTC')::date" for which in ("early", "likely", "late")
)


@pytest.mark.parametrize("project", ["turning", "distant", "silent"])
def test_an_end_that_is_not_in_sight_is_not_told(ask: Asked, project: str) -> None:
    assert _forecast(ask, project, f"observed_days, {_FROM_TODAY}") == (6, None, None, None)


def test_an_end_is_never_before_today(ask: Asked) -> None:
    early, likely, late = _forecast(ask, "late", _FROM_TODAY)
    assert (early, likely) == (0, 1)
    assert late > 1


def test_what_is_removed_need_not_be_done(ask: Asked) -> None:
    row = _forecast(ask, "cleared", f"remaining, annotated_per_day, intake_per_day, net_per_day, {_ENDS}")
    assert row == (550, 5, 0, 55, 10, 10, 10)
    falls = ask(
        "SELECT lag(remaining) OVER (ORDER BY day) - remaining FROM analytics.burn_down "
        "WHERE project = 'cleared' ORDER BY day OFFSET 1 LIMIT 6"
    )
    assert falls == [(55,)] * 6


def test_where_no_batch_ever_had_a_job_nothing_is_in_one(ask: Asked) -> None:
    row = _forecast(ask, "jobless", f"basis, remaining, net_per_day, is_in_step, {_ENDS}")
    assert row == ("assigned", 30, 3, True, 10, 10, 10)
    days = ask(
        "SELECT jobs, remaining, is_in_step FROM analytics.project_daily "
        "WHERE project = 'jobless' ORDER BY day"
    )
    assert days == [(None, 27 + 3 * days_ago, True) for days_ago in (*range(7, 0, -1), 1)]
    assert ask("SELECT size, is_in_step FROM analytics.project WHERE project = 'jobless'") == [(None, None)]
    # A batch of this one had a job from the second day on, which nobody read.
    assert ask("SELECT remaining FROM analytics.burn_down WHERE project = 'late' ORDER BY day LIMIT 2") == [
        (170,),
        (None,),
    ]


# Hands: of a job something was done four days ago; then the batch got another name, and the job another
# labeler. "doubted" was never believed.


def _tell_of_hands(history: History) -> None:
    batch, job = Images(10, 1, "name"), Work("H", 10, labeler="one")
    history.project("hands", noon(9))
    history.see("hands", noon(9), {"H": batch}, {"J": job})
    job = job._replace(status="annotating")
    history.see("hands", noon(4), {"H": batch}, {"J": job}, flows=Flows(), done=Done())
    batch, job = batch._replace(name="other"), job._replace(labeler="two")
    history.see("hands", noon(1), {"H": batch}, {"J": job}, flows=Flows(), done=Done())
    history.project("doubted", noon(9))
    history.see("doubted", noon(9), {"D": Images(10)}, rule="unreadable records")
    edges = {f"E{days}": Images(1, 0, None, _NOW - days * DAY - 30 * MINUTE) for days in (1, 7, 30, 90)}
    history.project("edges", noon(1))
    history.see("edges", noon(1), edges)


def test_another_name_or_labeler_moves_nothing(ask: Asked) -> None:
    query = "SELECT kind, since, idle_s FROM analytics.stalled WHERE project = 'hands' ORDER BY kind"
    assert ask(query) == [
        ("batch", noon(9), 8 * 86_400),
        ("job", noon(4) + MINUTE, 3 * 86_400),
    ]


def test_what_was_never_believed_is_not_idle(ask: Asked) -> None:
    query = (
        "SELECT since, idle_s, is_stalled, last_observed_at FROM analytics.stalled WHERE project = 'doubted'"
    )
    assert ask(query) == [(noon(9), None, False, None)]


def test_ages_do_not_depend_on_the_clocks_of_who_asks(ask: Asked) -> None:
    """Half an hour after a limit, which is before it for clocks that were set in between."""
    query = "SELECT age_bucket FROM analytics.backlog WHERE project = 'edges' ORDER BY age_s"
    expected = [("1 to 7 days",), ("7 to 30 days",), ("30 to 90 days",), ("over 90 days",)]
    for zone in ("America/New_York", "Australia/Sydney", "UTC"):
        ask("SELECT set_config('TimeZone', %s, FALSE)", zone)
        assert ask(query) == expected


# As runs write it


_PERIODS: Final = {
    "day": ("project_daily", _SUMS.replace(" days, observed_days, jobs_observed_days,", "")),
    "week": ("project_weekly", _SUMS),
    "month": ("project_monthly", _SUMS),
}


def test_days_weeks_and_months_agree_with_periods_whenever_the_answers_came(database: str) -> None:
    """Midnight falls between the answers with the batches and with the jobs, or before, or after both."""
    with psycopg.connect(database, autocommit=True) as connection:
        scene = Scene(a_world(batches=4), database, connection)
        first, second, *_ = scene.project.batches
        scene.project.append(second, images=40)
        scene.clock.at = datetime(2024, 2, 27, 20, tzinfo=UTC)
        scene.run(minutes=0)
        before = [path for _, path, _ in scene.source.replies].index(LIST)
        for nth in range(9):
            midnight = datetime(2024, 2, 28, tzinfo=UTC) + nth // 2 * DAY
            if nth % 2:
                scene.clock.at = midnight + NOON
            else:
                # So long before that the list of the batches is complete 50 ms before, at, or after midnight.
                scene.clock.at = midnight - timedelta(
                    milliseconds=(before + 1) * 100 + 50 - 50 * (nth // 2 % 3)
                )
            job = scene.project.assign(second, images=4)
            scene.project.annotate(job.id, images=3)
            scene.project.append(first, images=nth + 1)
            scene.run(minutes=0)
        apart = scene.ask(
            "SELECT count(*) FROM analytics.observation "
            "WHERE date_trunc('day', jobs_at, 'UTC') > date_trunc('day', observed_at, 'UTC')"
        )
        for grain, (view, columns) in _PERIODS.items():
            told = scene.ask(
                f"SELECT (period_start AT TIME ZONE 'UTC')::date, {columns} "
                "FROM analytics.project_period(%s, 'UTC') ORDER BY 1",
                grain,
            )
            assert told == scene.ask(f"SELECT {grain}, {columns} FROM analytics.{view} ORDER BY 1")
        ((work, assigned),) = scene.ask(
            "SELECT sum(annotated_work), sum(assigned) FROM analytics.project_daily"
        )
        scene.engine.dispose()
    assert apart == [(2,)]
    assert (work, assigned) == (27, 36)


# How it is answered


_OF_PROJECTS: Final = (
    "backlog",
    "backlog_age",
    "batch_lead_time",
    "batch_move",
    "batch_progress",
    "burn_down",
    "forecast",
    "job",
    "job_change",
    "job_history",
    "observation",
    "project",
    "project_daily",
    "project_monthly",
    "project_weekly",
    "stalled",
)


@pytest.mark.parametrize("view", _OF_PROJECTS)
def test_who_asks_about_one_project_pays_for_no_other(ask: Asked, view: str) -> None:
    """The condition is met where projects are looked up, not on what was made of all of them."""
    ((plan,),) = ask(
        f"EXPLAIN (FORMAT JSON) SELECT * FROM analytics.{view} WHERE workspace = 'acme' AND project = 'cars'"
    )
    sieves = [node for node in _nodes(plan[0]["Plan"]) if "'acme'" in str(_conditions(node))]
    assert {node.get("Relation Name") for node in sieves} == {"project"}


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _conditions(node: dict[str, Any]) -> list[Any]:
    return [value for name, value in node.items() if name.endswith(("Filter", "Cond"))]


# The page with the answers


_PAGE: Final = Path(__file__).parents[2] / "docs/how-to/answers.md"
QUERIES: Final = re.findall(r"^```sql\n(.*?)^```", _PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
_SHOWN: Final = ("batch_diff", "freshness", "gap", "project_period", *_OF_PROJECTS)


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_of_the_page_answers(ask: Asked, query: str) -> None:
    assert ask(query)


def test_the_page_has_an_answer_to_each_of_the_eight_questions_and_uses_every_view() -> None:
    sections = re.split(r"^## ", _PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert [section.partition(".")[0] for section in sections] == [f"{number}" for number in range(1, 9)]
    assert all("```sql" in section for section in sections)
    assert [view for view in _SHOWN if not re.search(rf"analytics\.{view}\b", "".join(QUERIES))] == []
