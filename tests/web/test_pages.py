"""What the pages answer, over a real socket, as the role that may only read."""

from __future__ import annotations

import http.client
import json
import re
import shlex
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from html import unescape
from threading import Event
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import psycopg
import pytest
import requests

from etl.commands.show import several
from etl.database import engine, head
from etl.records import Slug
from etl.selection import Promise, ReadJobs
from etl.settings import DatabaseSettings, WebSettings
from etl.simulator.faults import Fault
from etl.simulator.world import World
from etl.store import PostgresLedger
from etl.web.connections import HEAD_S
from etl.web.guards import HEADERS, is_own
from etl.web.reader import Reader
from etl.web.reads import ATTENTION, BATCHES, GAPS, JOBS, NAME, PROJECTS, overview
from etl.web.site import Scheduler
from etl.web.words import count, to_batch, to_project
from tests.logins import as_owner, as_reader
from tests.web.conftest import pages_of
from tests.worlds import FakeClock, WorldSource, a_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.records import Answer
    from tests.web.conftest import Pages

NOWHERE: Final = "postgresql://analyst:canary-word@127.0.0.1:1/ledger"


def get(pages: Pages, path: str, host: str | None = None) -> requests.Response:
    headers = {"Host": host} if host else {}
    return requests.get(pages.url.rstrip("/") + path, headers=headers, timeout=30, allow_redirects=False)


# Who is answered, and how


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8787", "127.0.0.1.evil.example", "localhost.x", ""]
)
def test_who_asks_by_a_foreign_name_is_refused(pages: Pages, host: str) -> None:
    parts = urlsplit(pages.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    for path in ("/", "/metrics", "/healthz", "/static/page.css"):
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 421
        assert b"acme" not in answer.read()
    connection.close()


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:99", "127.0.0.1:1", "[::1]:8787", "10.1.2.3", "localhost."]
)
def test_who_asks_by_our_name_or_an_address_is_answered(pages: Pages, host: str) -> None:
    assert get(pages, "/healthz", host).status_code == 200


def test_a_name_of_the_settings_is_ours() -> None:
    settings = WebSettings.model_validate({"allowed_hosts": "Status.Example.org, other"})

    assert settings.allowed_hosts == ("status.example.org", "other")
    assert is_own("status.example.org:443", settings.allowed_hosts)
    assert not is_own("example.org", settings.allowed_hosts)


@pytest.mark.parametrize(
    "path", ["/", "/projects/acme/cars", "/nowhere", "/metrics", "/readyz", "/static/page.css"]
)
def test_every_answer_tells_the_browser_its_limits(pages: Pages, path: str) -> None:
    answer = get(pages, path)

    assert {name: answer.headers[name] for name, _ in HEADERS} == dict(HEADERS)
    assert "Server" not in answer.headers
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_pages_can_only_be_read(pages: Pages, method: str) -> None:
    for path in ("/", "/projects/acme/cars", "/metrics"):
        assert requests.request(method, pages.url.rstrip("/") + path, timeout=30).status_code == 405


def test_files_of_the_pages_may_be_kept_and_are_asked_after(pages: Pages) -> None:
    kept = get(pages, "/static/page.css")
    again = requests.get(
        f"{pages.url}static/page.css", headers={"If-None-Match": kept.headers["ETag"]}, timeout=30
    )

    assert (kept.headers["Cache-Control"], again.status_code) == ("no-cache", 304)
    assert get(pages, "/").headers["Cache-Control"] == "no-store"


UNASKED: Final = (
    b"",
    b"GET / HTTP/1.1\r\nHost: loc",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET",
    b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nnot yet",
)
"""What may be sent without anything whole being asked: nothing, half a head, either after an answer."""


def test_who_asks_nothing_whole_does_not_keep_others_away_for_long(pages: Pages) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(_connected(pages)) for _ in UNASKED]
        for one, begun in zip(idle, UNASKED, strict=True):
            one.sendall(begun)
        crowd = [stack.enter_context(_connected(pages)) for _ in range(64)]
        time.sleep(HEAD_S / 2)
        # A byte now and then is no question either.
        for one in idle:
            with suppress(ConnectionError):
                one.sendall(b"x")
        for one in (*idle, *crowd):
            one.settimeout(HEAD_S * 1.5)
            assert _is_ended(one)
        assert get(pages, "/healthz").status_code == 200


def _is_ended(connection: socket.socket) -> bool:
    with suppress(ConnectionError):
        while connection.recv(4096):
            pass
    return True


def _connected(pages: Pages) -> socket.socket:
    parts = urlsplit(pages.url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30)


def test_every_address_of_the_host_means_those_of_ipv4_too() -> None:
    with pages_of(NOWHERE, settings=WebSettings(host="::", port=0)) as pages:
        port = urlsplit(pages.url).port
        for host in ("127.0.0.1", "[::1]"):
            assert requests.get(f"http://{host}:{port}/healthz", timeout=30).status_code == 200


def test_what_clients_send_is_no_news_for_the_log(pages: Pages, caplog: pytest.LogCaptureFixture) -> None:
    asked = {"Connection": "Upgrade", "Upgrade": "websocket"}
    assert requests.get(f"{pages.url}healthz", headers=asked, timeout=30).status_code == 200
    with _connected(pages) as careless:
        careless.sendall(b"no HTTP at all\r\n\r\n")
        assert b" 400 " in careless.recv(100)

    assert [record.getMessage() for record in caplog.records] == []


def test_what_reads_the_ledger_cannot_write_it(database: str) -> None:
    with Reader(database, DatabaseSettings())() as connection:
        found = connection.exec_driver_sql(
            "SELECT current_setting('transaction_read_only'), current_setting('statement_timeout')"
        ).one()

    assert tuple(found) == ("on", "10s")


@pytest.mark.parametrize(
    "path",
    [
        "/projects/acme/nothing",
        "/projects/acme/cars/batches/nothing",
        "/projects/acme%00/cars",
        "/projects/acme/cars/batches/%00",
        "/projects/acme/cars/batches/%FF",
        "/static/..%2f..%2fsite.py",
        "/static/",
    ],
)
def test_what_is_not_there_is_not_found(pages: Pages, path: str) -> None:
    assert get(pages, path).status_code == 404


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=-1", "page=9999999999", "page=%D9%A3", "page=x", f"find={'a' * 9000}", "find=%00"],
)
def test_a_question_that_makes_no_sense_is_answered_all_the_same(pages: Pages, query: str) -> None:
    assert get(pages, f"/?{query}").status_code == 200
    assert get(pages, f"/projects/acme/cars?days=x&{query}").status_code == 200


# What they say


def test_a_suspect_list_is_shown_with_the_command_that_resolves_it(pages: Pages) -> None:
    body = get(pages, "/").text

    assert "<code>batchledger confirm acme/cars</code>" in body
    assert "the list is empty, and was not before" in body
    assert "<code>batchledger check</code>" in body


def test_jobs_that_cannot_be_read_are_said_to_be_old_beside_batches_that_are_fresh(database: str) -> None:
    now = datetime.now(UTC)
    world, clock = World.seeded(1, projects=1, batches_per_project=3), FakeClock(now - timedelta(hours=2))
    source, connections = WorldSource(world, clock), engine(database)
    source.faults.add(Fault.status(500), path="/acme/cars/jobs", times=None)
    ledger = PostgresLedger(connections, host="here", version="test")
    told = list[str]()
    with pages_of(database) as pages:
        for at, promise in ((clock.at, Promise()), (now, Promise(3600))):
            clock.at = at
            a_run(ledger, [source], clock, promise=promise)
            told += [get(pages, path).text for path in ("/", "/projects/acme/cars")]
    connections.dispose()

    for body in told:
        assert "jobs: never trusted yet: /acme/cars/jobs: status 500" in body
        assert "<code>[jobs] read = &#34;never&#34;</code>" in body
        assert '<span class="state good">fresh</span>' not in body
    assert '<span class="state doubtful">jobs failed</span>' in told[0]
    assert '<span class="state doubtful">jobs failed</span>' in told[1]
    assert '<span class="state bad">jobs too old</span>' in told[2]
    assert '<span class="state bad">jobs too old</span>' in told[3]
    assert "status 500; 60 min is promised." in told[3]


def test_commands_are_offered_as_a_shell_takes_them(database: str) -> None:
    slug, batch_id = "acme/it's `all`  $(ours); # ש", "a|b 'c' `d`"
    start = datetime.now(UTC) - timedelta(hours=2 * (GAPS + 3))
    world, clock = World.seeded(1, projects=0), FakeClock(start)
    source, connections = WorldSource(world, clock), engine(database)
    ledger = PostgresLedger(connections, host="here", version="test")
    listed = json.dumps({"workspace": {"projects": [{"id": slug}]}})
    one = json.dumps({"batches": [{"id": batch_id, "name": "x", "images": 4, "numJobs": 0}]})
    source.faults.add(Fault.literal(listed), path="/acme", times=None)
    for turn in range(GAPS + 3):
        clock.at = start + timedelta(hours=2 * turn)
        body = one if turn < GAPS + 2 else '{"batches": []}'
        source.faults.add(Fault.literal(body), path=f"/{slug}/batches")
        a_run(ledger, [source], clock, promise=Promise(3600))
    connections.dispose()
    with pages_of(database) as pages:
        paths = ("/", to_project(Slug(*slug.split("/"))), to_batch(Slug(*slug.split("/")), batch_id))
        answers = [get(pages, path) for path in paths]

    assert [answer.status_code for answer in answers] == [200] * 3
    offered = [command for answer in answers for command in re.findall("<code>(b[^<]*)", answer.text)]
    assert [shlex.split(unescape(command)) for command in offered] == [
        ["batchledger", "confirm", slug],
        ["batchledger", "export", "gap"],
        ["batchledger", "confirm", slug],
        ["batchledger", "export", "gap", "--project", slug],
        ["batchledger", "explain", f"{slug}/{batch_id}"],
        ["batchledger", "export", "gap", "--project", slug],
    ]


def test_what_the_small_charts_show_is_told_in_words(pages: Pages) -> None:
    rows = pages.ask(
        "SELECT array_agg(daily.images ORDER BY day), any_value(project.images), sum(intake), sum(assigned), "
        "count(*) FILTER (WHERE intake IS NULL) FROM analytics.project_daily AS daily "
        "JOIN analytics.project USING (workspace, project) GROUP BY project.project"
    )

    told = re.findall(r'<span class="aside">([^<]*)</span>', get(pages, "/?find=acme").text)
    said = [
        f"{text}, {several(unseen, 'day')} not observed"
        for images, now, came, went, unseen in rows
        for text in (
            f"from {count(images[0])} to {count(now)}",
            f"{count(came)} came in, {count(went)} were assigned",
        )
    ]
    assert sorted(told) == sorted(said)
    assert min(unseen for *_, unseen in rows) >= len(range(8, 14))


def test_what_a_suspect_answer_showed_is_drawn_and_told_as_sql_has_it(database: str) -> None:
    now = datetime.now(UTC)
    world, clock = World.seeded(1, projects=1, batches_per_project=0), FakeClock(now - timedelta(days=2))
    source, connections = WorldSource(world, clock), engine(database)
    ledger = PostgresLedger(connections, host="here", version="test")
    for nth in range(10):
        world.project("acme/cars").upload(images=20 + 2 * nth, at=clock.at - timedelta(hours=nth))
    a_run(ledger, [source], clock)
    clock.at = now
    new = '{"batches": [{"id": "new", "name": "new", "images": 500, "numJobs": 0}]}'
    source.faults.add(Fault.literal(new), path="/acme/cars/batches")
    a_run(ledger, [source], clock)
    connections.dispose()
    with pages_of(database) as pages:
        first, project = (get(pages, path).text for path in ("/", "/projects/acme/cars"))
        said = pages.ask("SELECT images, intake, is_observed FROM analytics.project_daily ORDER BY day")

    assert said == [(290, 0, True), (290, None, False), (790, 500, False)]
    assert re.findall(r'<span class="aside">([^<]*)</span>', first) == [
        "from 290 to 790, 1 day not trusted, 1 day not observed",
        "500 came in, 0 were assigned, 1 day not trusted, 1 day not observed",
    ]
    drawn = [json.loads(unescape(one)) for one in re.findall('data-chart="([^"]+)"', project)]
    assert [one["values"] for chart in drawn for one in chart["series"]] == [
        [290, None, 790],
        [0, None, 500],
        [0, None, 0],
    ]
    listed = project.partition('aria-labelledby="days"')[2].partition("</section>")[0]
    assert re.findall(r"<td>([^<]*)</td></tr>", listed) == [
        "not trusted, but for what was new",
        "no, carried from before",
        "yes",
    ]


def test_what_needs_attention_is_cut_only_if_there_is_more(database: str) -> None:
    clock = FakeClock(datetime.now(UTC))
    world = World.seeded(1, projects=ATTENTION + 1, batches_per_project=1)
    source, connections = WorldSource(world, clock), engine(database)
    ledger, slugs = PostgresLedger(connections, host="here", version="test"), sorted(world.projects)
    found = list[tuple[int, list[str]]]()
    with pages_of(database) as pages:
        for failing in (slugs[: ATTENTION - 1], slugs[ATTENTION - 1 : ATTENTION], slugs[ATTENTION:]):
            for slug in failing:
                source.faults.add(Fault.status(500), path=f"/{slug}/batches", times=None)
            a_run(ledger, [source], clock)
            clock.move(minutes=1)
            found.append(_told_of_attention(get(pages, "/").text))
    connections.dispose()

    rest = "Only the first 50. <code>batchledger status</code> lists all."
    assert [(listed, said) for listed, said in found] == [(49, []), (50, []), (50, [rest])]


def _told_of_attention(body: str) -> tuple[int, list[str]]:
    """Count what needs attention, and return what is said of the others."""
    listed = body.partition('aria-labelledby="attention"')[2].partition("</section>")[0]
    return listed.count("<h3>"), re.findall(r'<p class="quiet">(Only .*)</p>', listed)


def test_what_needs_attention_has_the_worst_first_whatever_its_name(database: str) -> None:
    now = datetime.now(UTC)
    world, clock = World.seeded(1, projects=6, batches_per_project=2), FakeClock(now - timedelta(hours=5))
    source, connections = WorldSource(world, clock), engine(database)
    ledger = PostgresLedger(connections, host="here", version="test")
    well, failed, suspect, late, unread, old = sorted(world.projects)
    promise = Promise(2 * 3600, [(slug, 0) for slug in (failed, suspect, unread)])
    source.faults.add(Fault.status(500), path=f"/{unread}/batches", times=None)
    source.faults.add(Fault.status(500), path=f"/{late}/jobs", times=None)
    a_run(ledger, [source], clock, promise=promise, read_jobs=ReadJobs.ALWAYS)
    clock.at = now
    source.faults.add(Fault.literal('{"batches": []}'), path=f"/{suspect}/batches")
    for slug in (failed, old):
        source.faults.add(Fault.status(500), path=f"/{slug}/batches")
    a_run(ledger, [source], clock, promise=promise, read_jobs=ReadJobs.ALWAYS)
    connections.dispose()
    with pages_of(database) as pages:
        listed = re.findall('<h3><a href="/projects/([^"]+)">', get(pages, "/").text)

    assert listed == [old, unread, late, suspect, failed]
    assert well not in listed


def test_a_project_that_was_never_read_is_not_said_to_be_trusted(database: str) -> None:
    clock = FakeClock(datetime.now(UTC))
    source, connections = _ListingSource(World.seeded(1, projects=1), clock), engine(database)
    ledger = PostgresLedger(connections, host="here", version="test")
    found = list[tuple[object, bool, bool]]()
    with pages_of(database) as pages:
        for stop in (source.listed, Event()):
            a_run(ledger, [source], clock, stop=stop)
            clock.move(minutes=1)
            ((verdict,),) = pages.ask("SELECT last_verdict FROM analytics.project")
            body = get(pages, "/").text
            is_said_to_be_trusted = "the last reading of every project is trusted" in body
            found.append((verdict, is_said_to_be_trusted, "<p>Nothing has been read of it yet." in body))
    connections.dispose()

    assert found == [(None, False, True), ("changed", True, False)]


class _ListingSource(WorldSource):
    """A source that says when it has listed the projects of a workspace, and told nothing of them yet."""

    def __init__(self, world: World, clock: FakeClock) -> None:
        super().__init__(world, clock)
        self.listed = Event()

    def workspace(self, workspace: str, *, until: float) -> Answer:
        answer = super().workspace(workspace, until=until)
        self.listed.set()
        return answer


def test_only_what_is_looked_for_is_listed(pages: Pages) -> None:
    listed = re.findall(r'<th scope="row"><a href="([^"]+)"', get(pages, "/?find=CME/DR").text)

    assert listed == ["/projects/acme/drones"]


def test_names_of_any_length_make_a_page_of_a_bounded_one(pages: Pages) -> None:
    ((batch_id,),) = pages.ask("SELECT batch_id FROM analytics.batch WHERE length(name) = 1000000")
    paths = ("/", "/projects/acme/cars", f"/projects/acme/cars/batches/{quote(batch_id)}")
    answers = [get(pages, path) for path in paths]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert max(len(answer.content) for answer in answers) < 100_000


def test_a_project_of_a_long_name_and_type_is_told_in_a_page_of_a_bounded_length(database: str) -> None:
    world, clock = World.seeded(1, projects=1, batches_per_project=1), FakeClock(datetime.now(UTC))
    source, connections = WorldSource(world, clock), engine(database)
    told = {
        "id": "acme/cars",
        "name": "n" * 1_000_000,
        "type": "\N{RIGHT-TO-LEFT OVERRIDE}" + "t" * 1_000_000,
    }
    source.faults.add(Fault.literal(json.dumps({"workspace": {"projects": [told]}})), path="/acme")
    a_run(PostgresLedger(connections, host="here", version="test"), [source], clock)
    connections.dispose()
    with pages_of(database) as pages:
        bodies = [get(pages, path).text for path in ("/", "/projects/acme/cars")]
        known = pages.ask("SELECT length(name), length(type) FROM analytics.project")
    with Reader(as_reader(database), DatabaseSettings())() as connection:
        (read,) = overview(connection, find="", page=1).projects.rows

    assert max(len(read.name or ""), len(read.type or "")) < 1000
    assert known == [(1_000_000, 1_000_001)]
    assert max(map(len, bodies)) < 100_000
    # Apart from what stands around it, and visibly cut.
    kind = "\N{RIGHT-TO-LEFT OVERRIDE}" + "t" * (NAME - 1)
    assert f'<bdi class="name">{"n" * NAME}…</bdi>, <bdi class="name">{kind}…</bdi>' in bodies[1]


def test_many_projects_are_shown_page_by_page_by_name(database: str) -> None:
    now = datetime.now(UTC)
    world, clock = World.seeded(1, projects=PROJECTS + 2, batches_per_project=1), FakeClock(now)
    source, connections = WorldSource(world, clock), engine(database)
    ledger, late = PostgresLedger(connections, host="here", version="test"), sorted(world.projects)[PROJECTS]
    clock.at = now - timedelta(hours=3)
    a_run(ledger, [source], clock, promise=Promise(2 * 3600))
    clock.at = now
    source.faults.add(Fault.status(500), path=f"/{late}/batches")
    a_run(ledger, [source], clock, promise=Promise(2 * 3600))
    connections.dispose()
    with pages_of(database) as pages:
        bodies = [get(pages, f"/?page={page}").text for page in (1, 2)]

    listed = [re.findall(r'<th scope="row"><a href="/projects/([^"]+)"', body) for body in bodies]
    assert list(map(len, listed)) == [PROJECTS, 2]
    assert listed[0] + listed[1] == sorted(world.projects)
    assert [("Next page" in body, "Previous page" in body) for body in bodies] == [
        (True, False),
        (False, True),
    ]


def test_gaps_that_are_left_out_are_said_to_be(database: str) -> None:
    start = datetime.now(UTC) - timedelta(hours=2 * (GAPS + 2))
    world, clock = World.seeded(1, projects=1, batches_per_project=1, start=start), FakeClock(start)
    source, connections = WorldSource(world, clock), engine(database)
    ledger = PostgresLedger(connections, host="here", version="test")
    batch_id = quote(next(iter(world.project("acme/cars").batches)))
    paths = ("/", "/projects/acme/cars", f"/projects/acme/cars/batches/{batch_id}")
    told = dict[int, list[tuple[int, list[str]]]]()
    with pages_of(database) as pages:
        # The open one comes on top on the pages of the project.
        for turn in range(GAPS + 2):
            clock.at = start + timedelta(hours=2 * turn)
            a_run(ledger, [source], clock, promise=Promise(3600))
            if turn >= GAPS - 1:
                told[turn] = [_told_of_gaps(get(pages, path).text) for path in paths]
    connections.dispose()

    of_one = ["Only the last 20 gaps. <code>batchledger export gap --project acme/cars</code> lists all."]
    of_all = ["Only the last 20 gaps. <code>batchledger export gap</code> lists all."]
    assert told == {
        GAPS - 1: [(GAPS - 1, []), (GAPS, []), (GAPS, [])],
        GAPS: [(GAPS, []), (GAPS, of_one), (GAPS, of_one)],
        GAPS + 1: [(GAPS, of_all), (GAPS, of_one), (GAPS, of_one)],
    }


def _told_of_gaps(body: str) -> tuple[int, list[str]]:
    """Count the gaps that a page lists, and return what it says of the others."""
    listed = body.partition('aria-labelledby="gaps"')[2].partition("</section>")[0]
    return listed.count("<tr>") - 1, re.findall(r'<p class="quiet">(Only .*)</p>', listed)


def test_the_life_of_a_batch_has_holes_where_nobody_looked_and_ends_where_it_was_last_seen(
    database: str,
) -> None:
    start = datetime.now(UTC) - timedelta(days=2)
    world, clock = World.seeded(1, projects=1, batches_per_project=2, start=start), FakeClock(start)
    source, connections = WorldSource(world, clock), engine(database)
    ledger = PostgresLedger(connections, host="here", version="test")
    batch = next(iter(world.project("acme/cars").batches.values()))
    for hour in (0, 1, 2, 9, 10, 11):
        clock.at = start + timedelta(hours=hour)
        if hour in (1, 9):
            world.project("acme/cars").append(batch.id, images=hour)
        if hour == 11:
            world.project("acme/cars").delete(batch.id)
        a_run(ledger, [source], clock, promise=Promise(2 * 3600))
    connections.dispose()
    with pages_of(database) as pages:
        body = get(pages, f"/projects/acme/cars/batches/{batch.id}").text
        seen = [
            at.timestamp() for (at,) in pages.ask("SELECT observed_at FROM analytics.observation ORDER BY 1")
        ]
        ((gone_at, last_seen_at),) = pages.ask(
            "SELECT gone_at, last_seen_at FROM analytics.batch WHERE batch_id = %s", batch.id
        )

    drawn = json.loads(unescape(re.findall('data-chart="([^"]+)"', body)[0]))
    images = [batch.images, batch.images + 1, batch.images + 1, None, batch.images + 10, 0]
    times = [*seen[:3], (seen[2] + seen[3]) / 2, seen[3], seen[5]]
    assert (gone_at.timestamp(), last_seen_at.timestamp()) == (seen[5], seen[4])
    assert drawn["series"][0]["values"] == images
    assert drawn["times"] == pytest.approx(times, abs=1e-3)


def test_the_jobs_of_a_batch_are_listed_the_latest_first(database: str) -> None:
    now = datetime.now(UTC)
    world, clock = World.seeded(1, projects=1, batches_per_project=0, start=now), FakeClock(now)
    source, connections = WorldSource(world, clock), engine(database)
    ledger, project = PostgresLedger(connections, host="here", version="test"), world.project("acme/cars")
    batch = project.upload(images=JOBS * 7, at=now - timedelta(days=1))
    jobs = [project.assign(batch.id, images=4, at=now - timedelta(hours=JOBS - n)) for n in range(JOBS)]
    for verb, images in ((project.annotate, 3), (project.approve, 2), (project.reject, 1)):
        verb(jobs[40].id, images=images)
    told = list[tuple[list[list[str]], list[str]]]()
    with pages_of(database) as pages:
        path = f"/projects/acme/cars/batches/{batch.id}"
        for turn in range(2):
            a_run(ledger, [source], clock)
            told.append(_told_of_jobs(get(pages, path).text))
            if not turn:
                project.unassign(jobs[50].id)
                project.assign(batch.id, images=5, at=now)
        said = pages.ask(
            "SELECT job_id, status, images, annotated, approved, rejected, created_at, changed_at, "
            "CASE WHEN gone_at IS NOT NULL THEN 'gone' ELSE 'there' END "
            f"FROM analytics.job ORDER BY created_at DESC LIMIT {JOBS}"
        )
    connections.dispose()

    assert [[*row[9:], *row[1:9]] for row in told[1][0]] == [
        [*map(str, row[:6]), *(f"{at.astimezone(UTC):%Y-%m-%d %H:%M}" for at in row[6:8]), row[8]]
        for row in said
    ]
    assert [row[1:6] + row[8:9] for row in told[0][0]].count(["assigned", "4", "3", "2", "1", "there"]) == 1
    assert [row[8] for row in told[1][0]].count("gone") == 1
    assert [rest for _, rest in told] == [
        [],
        [f"Only the last 100 jobs. <code>batchledger history acme/cars/{batch.id}</code> lists all."],
    ]


def _told_of_jobs(body: str) -> tuple[list[list[str]], list[str]]:
    """Return the cells of the table of jobs, and what is said of others."""
    listed = body.partition('aria-labelledby="jobs"')[2].partition("</section>")[0]
    rows = [re.findall("<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in listed.split("<tr>")[2:]]
    cells = [[unescape(re.sub("<[^>]*>", "", cell)).strip() for cell in row] for row in rows]
    return cells, re.findall(r'<p class="quiet">(Only .*)</p>', listed)


def test_a_batch_that_grows_between_two_pages_is_on_one_of_them(database: str) -> None:
    now = datetime.now(UTC)
    world, clock = World.seeded(1, projects=1, batches_per_project=0), FakeClock(now)
    source, connections = WorldSource(world, clock), engine(database)
    ledger, project = PostgresLedger(connections, host="here", version="test"), world.project("acme/cars")
    batches = [project.upload(images=9 + n, at=now - timedelta(hours=n)).id for n in range(BATCHES + 5)]
    listed = list[str]()
    with pages_of(database) as pages:
        for page in (1, 2):
            a_run(ledger, [source], clock)
            body = get(pages, f"/projects/acme/cars?page={page}").text
            listed += re.findall(r'<a href="/projects/acme/cars/batches/([^"]+)"', body)
            project.append(batches[0], images=1000)
            project.append(batches[-1], images=2000)
    connections.dispose()

    assert listed == [quote(name) for name in batches]


def test_what_is_not_seen_together_is_said_so_beside_its_sum(database: str) -> None:
    now = datetime.now(UTC)
    world, clock = World.seeded(1, projects=1, batches_per_project=0), FakeClock(now - timedelta(hours=2))
    source, connections = WorldSource(world, clock), engine(database)
    ledger, project = PostgresLedger(connections, host="here", version="test"), world.project("acme/cars")
    batch = project.upload(images=90, at=clock.at)
    project.assign(batch.id, images=30, at=clock.at)
    said = list[list[int]]()
    with pages_of(database) as pages:
        for _turn in range(2):
            a_run(ledger, [source], clock)
            clock.at = now
            paths = ("/projects/acme/cars", f"/projects/acme/cars/batches/{quote(batch.id)}")
            bodies = [get(pages, path).text for path in paths]
            said.append([body.count("(batches and jobs were not seen together)") for body in bodies])
            project.assign(batch.id, images=20, at=clock.at)
            source.faults.add(Fault.status(500), path="/acme/cars/jobs")
        sizes = pages.ask("SELECT size, is_in_step FROM analytics.project")
    connections.dispose()

    assert said == [[0, 0], [1, 1]]
    assert sizes == [(70, False)]


def test_beyond_the_last_page_there_is_a_way_back(pages: Pages) -> None:
    for path in ("/?find=acme&page=3", "/projects/acme/helmets?days=30&page=3"):
        body = get(pages, path).text
        back = [unescape(link) for link in re.findall(r'<a[^>]* href="(\?[^"]*page=[^"]*)"', body)]
        others = path.partition("?")[2].removesuffix("3")
        assert back == [f"?{others}1", f"?{others}2"]
        assert "<p>None on this page.</p>" in body
        assert "No project" not in body
    assert "has “x” in its name" in get(pages, "/?find=x").text


def test_an_empty_ledger_says_what_to_do(database: str) -> None:
    with pages_of(database) as pages:
        answer = get(pages, "/")

    assert answer.status_code == 200
    assert "<code>batchledger sync</code>" in answer.text


# Probes


def test_a_process_that_can_do_its_work_is_ready(pages: Pages) -> None:
    assert get(pages, "/healthz").text == "ok\n"
    answer = get(pages, "/readyz")
    assert (answer.status_code, answer.json()) == (200, {"database": "ok", "schema": "ok", "scheduler": None})


def test_the_process_is_seen_to_live_while_every_thread_waits_for_a_database() -> None:
    with _hanging() as uri, pages_of(uri, connect_timeout_s=4) as pages:
        crowd = [threading.Thread(target=get, args=(pages, "/")) for _ in range(50)]
        for one in crowd:
            one.start()
        time.sleep(1)
        began = time.monotonic()
        assert get(pages, "/healthz").status_code == 200
        took_s = time.monotonic() - began
        for one in crowd:
            one.join()

    assert took_s < 2


@contextmanager
def _hanging() -> Iterator[str]:
    """Give the address of what takes connections like a database, and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=99) as hung:
        yield f"postgresql://batchledger_reader@127.0.0.1:{hung.getsockname()[1]}/ledger"


def test_without_a_database_the_process_lives_and_is_not_ready() -> None:
    with pages_of(NOWHERE) as pages:
        assert get(pages, "/healthz").status_code == 200
        answer = get(pages, "/readyz")
        shown = get(pages, "/")
        measured = get(pages, "/metrics")

    assert (answer.status_code, answer.json()["database"]) == (503, "cannot be read")
    assert (shown.status_code, measured.status_code) == (503, 200)
    assert "batchledger_ledger_up 0.0" in measured.text
    said = answer.text + shown.text + measured.text
    assert not [word for word in ("canary-word", "analyst", "127.0.0.1:1/") if word in said]


def test_a_schema_of_another_revision_is_not_ready(database: str) -> None:
    with psycopg.connect(as_owner(database), autocommit=True) as connection:
        connection.execute("UPDATE ledger.alembic_version SET version_num = '0001_first_schema'")
    with pages_of(database) as pages:
        answer = get(pages, "/readyz")

    assert head() != "0001_first_schema"
    assert (answer.status_code, answer.json()["schema"]) == (503, "is at another revision than this program")


def test_a_role_that_may_not_read_is_told_so_little(database: str) -> None:
    with psycopg.connect(as_owner(database), autocommit=True) as connection:
        connection.execute("REVOKE USAGE ON SCHEMA analytics FROM batchledger_reader")
    with pages_of(database) as pages:
        answers = [get(pages, path) for path in ("/", "/readyz")]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert "permission" not in answers[0].text + answers[1].text


def test_a_scheduler_that_takes_no_turns_is_not_ready(database: str) -> None:
    hung = Scheduler(lambda: False, lambda: datetime.now(UTC))
    with pages_of(database, scheduler=hung) as pages:
        answer = get(pages, "/readyz")

    assert (answer.status_code, answer.json()["scheduler"]) == (503, "takes no turns")


def test_a_broken_promise_does_not_make_a_process_unready(pages: Pages) -> None:
    assert pages.ask("SELECT count(*) FROM analytics.freshness WHERE NOT is_kept") != [(0,)]
    assert get(pages, "/readyz").status_code == 200
