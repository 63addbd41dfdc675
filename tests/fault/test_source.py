"""A whole run over a source that says what it should not: what was believed stays, and nothing is lost."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from string import Template
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from etl.simulator import Fault, ServerSettings, World
from tests.fault.encounter import (
    BATCHES,
    Outcome,
    arrives,
    fails,
    goes_dark,
    has_no_moves,
    last_run,
    meet,
    suspect,
    the_news,
)
from tests.fault.harness import LISTS, RUN_S
from tests.worlds import FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from etl.store import PostgresLedger
    from tests.fault.conftest import NewScene
    from tests.fault.encounter import Batches, Believed, Making, Meeting, Rows
    from tests.fault.harness import Scene
    from tests.fault.recorder import Faults


LARGE_S: Final = 40
"""What a run over a hundred thousand batches may take on a busy machine."""


def a_list(rows: object) -> Fault:
    return Fault.literal(json.dumps({"batches": rows}))


# Statuses.

GRAPH: Final = '{"error": {"message": "Unsupported get request.", "type": "GraphMethodException"}}'
CLASSES: Final = {
    "RefusedError": (204, 206, 304, 400, 405, 410, 418, 451),
    "UnauthorizedError": (401, 403),
    "PausedError": (402, 423),
    "NotVisibleError": (404,),
    "TransientError": (408, 429, 500, 502, 503, 504, 520, 599),
}
STATUSES: Final[dict[str, Meeting]] = {
    **{
        f"s{status}": fails(Fault.status(status), error, status)
        for error, statuses in CLASSES.items()
        for status in statuses
    },
    "s403-scope": fails(Fault.status(403, GRAPH), "MissingScopeError", 403),
    "s404-scope": fails(Fault.missing_scope(), "MissingScopeError", 404),
    "s404-page": fails(Fault.html(404), "RefusedError", 404),
    "s404-nothing": fails(Fault.status(404, b""), "RefusedError", 404),
    "s401-page": fails(Fault.html(401), "UnauthorizedError", 401),
    "s503-page": fails(Fault.html(503), "TransientError", 503),
    "s200-error": fails(Fault.error_key(), "PayloadError", 200),
    # The list of batches twice, and that of the jobs.
    "s500-once": arrives(Fault.status(500), times=1, requests=3),
    "s408-once": arrives(Fault.status(408), times=1, requests=3),
    "s304-unasked-once": fails(Fault.status(304, b""), "RefusedError", 304, times=1),
}


def test_statuses(new_scene: NewScene, faults: Faults) -> None:
    meet(new_scene, faults, STATUSES, kind="source: status")


def http_date(**ahead: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(**ahead), usegmt=True)


def retry_afters() -> dict[str, str]:
    soon, late = http_date(seconds=1), datetime.now(UTC) + timedelta(hours=1)
    return {
        "seconds": "1",
        "none": "0",
        "spaced": " 1 ",
        "a-day": "86400",
        "very-long": "9" * 15,
        "too-long": "9" * 40,
        "empty": "",
        "negative": "-1",
        "fraction": "0.5",
        "text": "soon",
        "list": "1, 1",
        "unit": "1s",
        "date": soon,
        "past": http_date(days=-1),
        "far": http_date(days=3650),
        "no-zone": soon.removesuffix(" GMT"),
        "rfc850": late.strftime("%A, %d-%b-%y %H:%M:%S GMT"),
        "asctime": late.strftime("%a %b %d %H:%M:%S %Y"),
        "other-zone": soon.replace("GMT", "+0100"),
        "no-day": "Tue, 99 Nov 2022 19:40:24 GMT",
    }


def test_every_form_of_retry_after(new_scene: NewScene, faults: Faults) -> None:
    busy = {
        f"{form}-{status}": arrives(Fault.status(status, headers={"Retry-After": value}), times=1, requests=3)
        for form, value in retry_afters().items()
        for status in (429, 503)
    }
    environ = {"BATCHLEDGER_SOURCE__RETRY_AFTER_CAP_S": "0.4"}
    meet(new_scene, faults, busy, kind="source: Retry-After", environ=environ)


# Bodies that are no list of batches.

LOGIN: Final = '<!DOCTYPE html><html><form action="/login"><input name="password"></form></html>'
NO_LISTS: Final[dict[str, bytes | str]] = {
    "nothing": b"",
    "space": b" ",
    "page": LOGIN,
    "text": "Bad gateway",
    "xml": "<batches/>",
    "bytes": b"\xff\x00",
    "null": "null",
    "true": "true",
    "number": "7",
    "string": '"batches"',
    "object": "{}",
    "two": "{} {}",
    "key-null": '{"batches": null}',
    "key-object": '{"batches": {"a": {}}}',
    "key-string": '{"batches": "[]"}',
    "key-number": '{"batches": 0}',
    "key-false": '{"batches": false}',
    "other-case": '{"Batches": []}',
    "other-key": '{"jobs": []}',
    "wrapped": '{"data": {"batches": []}}',
    "page-of": '{"items": [], "next": 2}',
    "error-null": '{"batches": [], "error": null}',
    "error-text": '{"batches": [], "error": "busy"}',
    "cut": '{"batches": [{"id": "a", "ima',
    "comma": '{"batches": [],}',
    "quotes": "{'batches': []}",
    "nan": '{"batches": [NaN]}',
    "comment": '{"batches": []} // all',
    "guarded": ")]}',\n" + '{"batches": []}',
    "nested-list": "[" * 100_000,
    "nested-object": '{"a":' * 100_000,
    "utf-32": '{"batches": []}'.encode("utf-32"),
    "nested-record": '{"batches": [' + "[" * 100_000 + "]" * 100_000 + "]}",
}


def test_bodies_that_are_no_list(new_scene: NewScene, faults: Faults) -> None:
    bodies = {f"b-{name}": fails(Fault.literal(body), "PayloadError", 200) for name, body in NO_LISTS.items()}
    bodies["login"] = fails(Fault.html(), "PayloadError", 200)
    bodies["no-key"] = fails(Fault.missing_key(), "PayloadError", 200)
    meet(new_scene, faults, bodies, kind="source: wrong shape")


# Lists in another dress, and lists that are not whole.


def first(count: int) -> Believed:
    """Believe the news of so many batches."""

    def believed(before: Batches, truth: Batches) -> Batches:
        return {**before, **{one: truth[one] for one in list(truth)[:count]}}

    return believed


OTHER_LISTS: Final[dict[str, Meeting]] = {
    "bare": arrives(Fault.bare_list()),
    "more-around": arrives(
        lambda rows: Fault.literal(json.dumps({"next": None, "batches": rows, "total": 0}))
    ),
    "marked": arrives(lambda rows: Fault.literal(b"\xef\xbb\xbf" + json.dumps({"batches": rows}).encode())),
    "spaced": arrives(lambda rows: Fault.literal(json.dumps({"batches": rows}, indent=4) + "\n" * 9)),
    "escaped": arrives(lambda rows: Fault.literal(json.dumps(rows).replace("id", "\\u0069d"))),
    "upside-down": arrives(lambda rows: a_list(rows[::-1])),
    "called-a-page": arrives(
        lambda rows: Fault.status(200, json.dumps(rows), headers={"Content-Type": "text/html"})
    ),
    "empty": suspect(Fault.empty_list(), "empty_list", first(0)),
    "bare-empty": suspect(Fault.literal("[]"), "empty_list", first(0)),
    "one-left": suspect(Fault.partial_list(11 / 12), "large_loss", first(1)),
    "quarter-left": suspect(Fault.partial_list(0.75), "large_loss", first(3)),
    "half-left": suspect(Fault.partial_list(0.5), "short_list", the_news),
    "one-lacking": suspect(Fault.partial_list(1 / 12), "short_list", the_news),
}


def test_lists_that_are_not_what_they_were(new_scene: NewScene, faults: Faults) -> None:
    meet(new_scene, faults, OTHER_LISTS, kind="source: list")


# One record that is not what it should be, among others that are.


def carried(before: Batches, truth: Batches) -> Batches:
    """Believe the news of all but the first batch."""
    return {**truth, next(iter(truth)): before[next(iter(truth))]}


def amended(**values: Any) -> Believed:
    """Believe the news, and these values of the first batch."""

    def believed(_before: Batches, truth: Batches) -> Batches:
        one = next(iter(truth))
        told = dict(zip(("name", "images", "num_jobs", "uploaded_at"), truth[one], strict=True))
        return {**truth, one: tuple({**told, **values}.values())}

    return believed


def with_first(text: str) -> Making:
    """Let the first record be this text, in which `$key` is what the record says of itself."""

    def made(rows: Rows) -> Fault:
        stamp = rows[0]["uploaded"]
        at = datetime.fromtimestamp(stamp["_seconds"], UTC) + timedelta(
            microseconds=stamp["_nanoseconds"] // 1_000
        )
        ms = round(at.timestamp() * 1_000)
        values = {
            **{key: json.dumps(value) for key, value in rows[0].items()},
            "ms": str(ms),
            "seconds": f"{ms // 1_000}.{ms % 1_000:03}",
            "utc": at.isoformat().replace("+00:00", "Z"),
            "india": at.astimezone(INDIA).isoformat(),
        }
        record = Template(text).substitute(values)
        others = ", ".join(map(json.dumps, rows[1:]))
        return Fault.literal(f'{{"batches": [{record}, {others}]}}')

    return made


def field(key: str, text: str) -> Making:
    """Give the first record another value of one field, or one field more."""
    whole = {
        "id": "$id",
        "images": "$images",
        "numJobs": "$numJobs",
        "name": "$name",
        "uploaded": "$uploaded",
    }
    return with_first(
        "{" + ", ".join(f'"{one}": {value}' for one, value in ({**whole, key: text}).items()) + "}"
    )


INDIA: Final = timezone(timedelta(hours=5, minutes=30))
NO_COUNTS: Final = (
    "-1",
    "1.5",
    "3.0",
    "1e3",
    "-0.0",
    '"3"',
    '""',
    "true",
    "false",
    "[3]",
    "{}",
    "2147483648",
    "9" * 400,
)
NO_COUNTS_OF_IMAGES: Final = (*NO_COUNTS, "null")
NO_NAMES: Final = (
    '"\\u0000"',
    '"a\\u0000b"',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    "7",
    "true",
    '["a"]',
    '{"en": "a"}',
)
NAMES: Final = {
    "four-byte": "\U0001f4e6\U0001f9ff",
    "combined": "e\u0301",
    "reversed": "\u202eabc",
    "control": "\x01\x7f\n\t",
    "empty": "",
    "space": " ",
    "megabyte": "n" * 2**20,
    "wide-megabyte": "\U0001f4e6" * 2**18,
    "noncharacter": "\uffff",
    "sql": "'); DROP SCHEMA ledger; --",
    "copy": "\\N",
    "null-text": "null",
}
TIMES: Final = ('"$utc"', '"$india"', "$ms", "$seconds")
NO_TIMES: Final = (
    *(
        '"2022-11-22T19:40:24"',
        '"Tue, 22 Nov 2022 19:40:24 GMT"',
        '"2016-12-31T23:59:60Z"',
        '"1669146024"',
        '""',
    ),
    *("0", "1", "-1669146024", "1669146024818000", "1e400", "true", "[]", "{}", '{"_seconds": "1669146024"}'),
    *('{"_seconds": -1, "_nanoseconds": 0}', '{"_seconds": 1669146024, "_nanoseconds": 1000000000}'),
    *(
        '{"_seconds": 1669146024.5, "_nanoseconds": 0}',
        '{"seconds": 1669146024, "nanos": 0}',
        '"0001-01-01T00:00:00Z"',
    ),
    *(
        '{"_seconds": 99999999999999999999, "_nanoseconds": 0}',
        '"9999-12-31T23:59:59-12:00"',
        '"10000-01-01T00:00:00Z"',
    ),
)
NO_IDS: Final = (
    *(
        "7",
        "null",
        "true",
        "[$id]",
        '{"$$oid": "a"}',
        '""',
        '" \\n"',
        '"a/b"',
        '".."',
        '"a\\u0000"',
        '"\\ud800"',
    ),
    '"' + "a" * 1_001 + '"',
)
MORE: Final = {
    "text": '"new"',
    "null": "null",
    "number": "1.50",
    "huge": "9" * 400,
    "surrogate": '"\\ud800"',
    "nul": '"\\u0000"',
    "deep": "[" * 90 + "]" * 90,
    "deeper": "[" * 400 + "]" * 400,
    "object": '{"a": {"b": [1, null]}}',
    "megabyte": '"' + "m" * 2**20 + '"',
    "precise": "0." + "1" * 20_000,
    "small": "1e-400",
}
RECORDS: Final[dict[str, Meeting]] = {
    **{
        f"images-{at}": arrives(field("images", text), carried, rejects=1)
        for at, text in enumerate(NO_COUNTS_OF_IMAGES)
    },
    **{
        f"jobs-{at}": arrives(field("numJobs", text), carried, rejects=1) for at, text in enumerate(NO_COUNTS)
    },
    **{f"no-name-{at}": arrives(field("name", text), carried, rejects=1) for at, text in enumerate(NO_NAMES)},
    **{
        f"no-time-{at}": arrives(field("uploaded", text), carried, rejects=1)
        for at, text in enumerate(NO_TIMES)
    },
    **{
        f"name-{one}": arrives(field("name", json.dumps(name)), amended(name=name))
        for one, name in NAMES.items()
    },
    **{f"time-{at}": arrives(field("uploaded", text)) for at, text in enumerate(TIMES)},
    **{f"more-{one}": arrives(field("status", text)) for one, text in MORE.items()},
    **{
        f"no-id-{at}": suspect(field("id", text), "unreadable_record", carried, rejects=1)
        for at, text in enumerate(NO_IDS)
    },
    **{
        f"record-{at}": suspect(with_first(text), "unreadable_record", carried, rejects=1)
        for at, text in enumerate(("null", "7", '"a"', "[]", "{}"))
    },
    "images-largest": arrives(field("images", "2147483647"), amended(images=2**31 - 1)),
    "jobs-null": arrives(field("numJobs", "null"), amended(num_jobs=None)),
    "name-null": arrives(field("name", "null"), amended(name=None)),
    "time-null": arrives(field("uploaded", "null"), amended(uploaded_at=None)),
    "no-images": arrives(with_first('{"id": $id}'), carried, rejects=1),
    "key-twice": arrives(field("images", '7, "images": $images')),
    "agree": arrives(lambda rows: a_list([*rows, rows[0], rows[0]]), rejects=2),
    "differ": arrives(lambda rows: a_list([*rows, {**rows[0], "images": 7}]), carried, rejects=2),
    "key-in-capitals": arrives(field("Images", '7, "ID": "a"')),
    "beside-one-that-is-broken": arrives(
        lambda rows: a_list([*rows, {"id": rows[0]["id"], "images": -1}]), rejects=1
    ),
}


def test_records_that_are_not_what_they_should_be(new_scene: NewScene, faults: Faults) -> None:
    meet(new_scene, faults, RECORDS, kind="source: record", within_s=RUN_S)


# What befalls everything at once.

DARK: Final[dict[str, tuple[Fault, Outcome, int]]] = {
    "401": (Fault.status(401), Outcome("failed", "UnauthorizedError", 401), 2),
    "402": (Fault.status(402), Outcome("failed", "PausedError", 402), 1),
    "403": (Fault.status(403), Outcome("failed", "UnauthorizedError", 403), 2),
    "403 of a scope": (Fault.status(403, GRAPH), Outcome("failed", "MissingScopeError", 403), 2),
    "404": (Fault.status(404), Outcome("failed", "NotVisibleError", 404), 3),
    "404 of a scope": (Fault.missing_scope(), Outcome("failed", "MissingScopeError", 404), 2),
    "423": (Fault.status(423), Outcome("failed", "PausedError", 423), 1),
    "429": (Fault.status(429), Outcome("failed", "TransientError", 429), 1),
    "503": (Fault.status(503), Outcome("failed", "TransientError", 503), 1),
    "login page": (Fault.html(), Outcome("failed", "PayloadError", 200), 1),
    "no JSON": (Fault.literal(b"\xff"), Outcome("failed", "PayloadError", 200), 1),
    "wrong JSON": (Fault.literal('{"data": []}'), Outcome("failed", "PayloadError", 200), 1),
}


@pytest.mark.parametrize("what", DARK)
def test_every_answer_is_wrong(scene: Scene, faults: Faults, what: str) -> None:
    fault, outcome, exit_code = DARK[what]
    scene.healthy_sync()
    with faults("source: everything") as case:
        case.recovery_s = goes_dark(scene, outcome, exit_code, fault=fault)


def test_a_key_that_loses_its_scope(scene: Scene, faults: Faults) -> None:
    fault, outcome, exit_code = DARK["404 of a scope"]
    scene.healthy_sync()
    with faults("source: a key loses its scope") as case:
        case.recovery_s = goes_dark(scene, outcome, exit_code, fault=fault, path="/acme/*")


def test_every_list_is_empty(scene: Scene, faults: Faults) -> None:
    scene.healthy_sync()
    with faults("source: a workspace turns empty") as case:
        outcome = Outcome("suspect", None, 200, "empty_list")
        case.recovery_s = goes_dark(scene, outcome, 4, fault=Fault.empty_list(), path="/acme/*")


def test_a_workspace_lists_no_projects(scene: Scene, faults: Faults) -> None:
    scene.healthy_sync()
    with faults("source: a workspace turns empty") as case:
        outcome = Outcome("failed", "NotVisibleError")
        case.recovery_s = goes_dark(scene, outcome, 3, fault=Fault.empty_list(), path="/acme")


@pytest.mark.parametrize("has_etags", [False, True])
def test_a_project_in_the_trash(new_scene: NewScene, faults: Faults, *, has_etags: bool) -> None:
    with (
        new_scene(None, ServerSettings(has_etags=has_etags)) as scene,
        faults("source: a project in the trash") as case,
    ):
        scene.healthy_sync()
        before = scene.believed
        with scene.simulator.lock:
            scene.simulator.world.trash("acme/drones")
        assert [scene.sync()[0] for _ in range(3)] == [4, 4, 4]
        assert last_run(scene)["drones"].outcome == Outcome("failed", "NotVisibleError")
        assert scene.believed == before
        with scene.simulator.lock:
            scene.simulator.world.restore("acme/drones")
        case.recovery_s = scene.recovered(time.monotonic(), RUN_S)
        assert has_no_moves(scene)


# What lasts for a day, of runs an hour apart by a clock of its own.

LOOK_UPS: Final = "/acme/*/batches/*"
LASTING: Final[dict[str, tuple[tuple[Fault, str], ...]]] = {
    "a workspace turns empty": ((Fault.status(404), LOOK_UPS), (Fault.empty_list(), "/acme/*/batches")),
    "a workspace lists no projects": ((Fault.empty_list(), "/acme"),),
    "most of a workspace is denied": ((Fault.status(404), LOOK_UPS), (Fault.partial_list(0.75), LISTS)),
    "a key loses its scope": ((Fault.missing_scope(), "/acme/*"),),
    "a key loses its scope for all but names": ((Fault.status(403, GRAPH), "/acme/*"),),
    "a project in the trash": ((Fault.without("acme/cars"), "/acme"), (Fault.status(404), "/acme/cars/*")),
}


@pytest.mark.parametrize("what", LASTING)
@pytest.mark.parametrize(("projects", "has_etags"), [(1, False), (3, True)])
def test_a_day_of_it_changes_no_batch(
    ledger: PostgresLedger, database: str, faults: Faults, what: str, projects: int, *, has_etags: bool
) -> None:
    world, clock = a_world(projects, BATCHES), FakeClock()
    source = WorldSource(world, clock, has_etags=has_etags)
    with psycopg.connect(database, autocommit=True) as connection, faults(f"source: {what}, for a day"):
        a_run(ledger, [source], clock)
        before = connection.execute(BELIEVED).fetchall()
        for fault, path in LASTING[what]:
            source.faults.add(fault, path=path, times=None)
        for _ in range(26):
            clock.move(hours=1)
            a_run(ledger, [source], clock)
            assert connection.execute(BELIEVED).fetchall() == before
        source.faults.clear()
        assert {one.verdict.is_trusted for one in a_run(ledger, [source], clock).projects} == {True}
        assert connection.execute(BELIEVED).fetchall() == before
        assert connection.execute("SELECT * FROM analytics.invariant_violation").fetchall() == []


BELIEVED: Final = """
    SELECT
        batch.workspace,
        batch.project,
        batch.batch_id,
        batch.name,
        batch.images,
        batch.num_jobs,
        batch.missing_since,
        batch.gone_at,
        count(*) AS changes
    FROM analytics.batch
    JOIN analytics.batch_change USING (workspace, project, batch_id)
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ORDER BY 1, 2, 3
"""


# Sizes.


@pytest.mark.long
def test_a_hundred_thousand_batches_in_one_project(new_scene: NewScene, faults: Faults) -> None:
    world = World.seeded(7, projects=1, batches_per_project=100_000)
    environ = {"BATCHLEDGER_SOURCE__READ_TIMEOUT_S": "30"}
    with new_scene(world, None, **environ) as scene, faults("source: 100,000 batches") as case:
        began = time.monotonic()
        scene.healthy_sync()
        assert time.monotonic() - began <= LARGE_S
        scene.change(0.001)
        scene.simulator.faults.add(Fault.partial_list(0.9), path=LISTS)
        assert scene.sync()[0] == 4
        assert last_run(scene)["cars"].outcome == Outcome("suspect", None, 200, "large_loss")
        case.recovery_s = scene.recovered(time.monotonic(), LARGE_S)
        assert has_no_moves(scene)
