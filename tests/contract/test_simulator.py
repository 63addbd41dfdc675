"""The simulated API: the documented endpoints on a real socket, the faults, and the process of its own."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import pytest
import requests

from etl.simulator import (
    Fault,
    Rule,
    ServerSettings,
    Simulator,
    World,
    job_truth,
    project_truth,
    truth_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCHES = "/acme/cars/batches"
JOBS = "/acme/cars/jobs"


@pytest.fixture
def world() -> World:
    return World.seeded(5, workspaces=2, projects=2, batches_per_project=30)


@pytest.fixture
def sim(world: World) -> Iterator[Simulator]:
    with Simulator(world) as running:
        yield running


@pytest.fixture
def session(sim: Simulator) -> Iterator[requests.Session]:
    with a_session(sim.keys["acme"]) as one:
        yield one


def a_session(key: str) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {key}"
    return session


def get(sim: Simulator, path: str = BATCHES, **kwargs: Any) -> requests.Response:
    """One request on a connection of its own, with the key of acme unless told otherwise."""
    with a_session(kwargs.pop("key", sim.keys["acme"])) as session:
        return session.get(sim.url + path, timeout=kwargs.pop("timeout", 5), **kwargs)


def at_of(stamp: dict[str, int]) -> datetime:
    assert stamp["_nanoseconds"] % 1_000_000 == 0
    return datetime.fromtimestamp(stamp["_seconds"], UTC).replace(microsecond=stamp["_nanoseconds"] // 1000)


# The documented endpoints (Roboflow documentation: "View batches", "View jobs" and their neighbours).


def test_a_key_learns_its_workspace(session: requests.Session, sim: Simulator) -> None:
    body = session.get(f"{sim.url}/").json()
    assert set(body) == {"welcome", "instructions", "docs", "workspace"}
    assert body["workspace"] == "acme"


def test_a_workspace_lists_its_own_projects(session: requests.Session, sim: Simulator) -> None:
    workspace = session.get(f"{sim.url}/acme", params={"nocache": "true"}).json()["workspace"]
    assert {"name", "url", "members", "projects"} == set(workspace)
    assert [one["id"] for one in workspace["projects"]] == ["acme/cars", "acme/drones"]
    fields = {"id", "name", "type", "created", "updated", "images", "unannotated", "annotation"}
    fields |= {"versions", "public", "splits", "classes", "colors"}
    assert set(workspace["projects"][0]) == fields
    assert isinstance(workspace["projects"][0]["updated"], float)


def test_the_list_of_batches_is_the_truth(sim: Simulator, world: World) -> None:
    listed = get(sim).json()
    assert set(listed) == {"batches"}
    assert {
        row["id"]: (row["name"], row["images"], row["numJobs"], at_of(row["uploaded"]))
        for row in listed["batches"]
    } == {
        batch_id: (one.name, one.images, one.num_jobs, one.uploaded_at)
        for batch_id, one in project_truth(world.project("acme/cars")).batches.items()
    }


def test_rows_have_the_documented_fields_in_an_order_that_varies(sim: Simulator) -> None:
    rows = get(sim).json()["batches"]
    assert {frozenset(row) for row in rows} == {frozenset({"name", "numJobs", "images", "uploaded", "id"})}
    assert len({tuple(row) for row in rows}) > 10


def test_the_list_of_jobs_is_the_truth(sim: Simulator, world: World) -> None:
    rows = get(sim, "/acme/cars/jobs").json()["jobs"]
    fields = (
        "id name status sourceBatch project numImages annotated unannotated approved rejected labeler "
        "reviewer owner createdBy instructionsText created"
    )
    assert {frozenset(row) for row in rows} == {frozenset(fields.split())}
    truth = job_truth(world.project("acme/cars"))
    assert [row["id"] for row in rows] == list(truth)
    for row in rows:
        one = truth[row["id"]]
        assert row["sourceBatch"] == f"{row['project']}/{one.batch_id}"
        assert (row["numImages"], row["annotated"], row["unannotated"]) == (
            one.num_images,
            one.annotated,
            one.unannotated,
        )
        assert (row["approved"], row["rejected"]) == (one.approved, one.rejected)
        assert (row["labeler"], row["reviewer"]) == (one.labeler, one.reviewer)
        assert (row["status"], at_of(row["created"])) == (one.status, one.created_at)


def test_each_batch_has_as_many_jobs_in_their_list_as_it_says(sim: Simulator) -> None:
    made = Counter(row["sourceBatch"].rpartition("/")[2] for row in get(sim, JOBS).json()["jobs"])
    assert {row["id"]: row["numJobs"] for row in get(sim).json()["batches"]} == {
        row["id"]: made[row["id"]] for row in get(sim).json()["batches"]
    }


@pytest.mark.parametrize("kind", ["batches", "jobs"])
def test_one_row_on_its_own_is_the_row_of_the_list(sim: Simulator, kind: str) -> None:
    row = get(sim, f"/acme/cars/{kind}").json()[kind][7]
    assert get(sim, f"/acme/cars/{kind}/{row['id']}").json() == row


def test_a_project_without_batches_answers_an_empty_list(sim: Simulator, world: World) -> None:
    with sim.lock:
        world.add("acme/empty")
    assert get(sim, "/acme/empty/batches").json() == {"batches": []}
    assert get(sim, "/acme/empty/jobs").json() == {"jobs": []}


def test_what_changes_is_seen_at_the_next_request(sim: Simulator, world: World) -> None:
    get(sim)
    before = get(sim, "/acme").json()
    with sim.lock:
        batch = world.project("acme/cars").upload(name='a "name" / ü', images=3, at=datetime.now(UTC))
    assert get(sim).json()["batches"][-1]["name"] == 'a "name" / ü'
    assert get(sim, "/acme").json() != before
    with sim.lock:
        world.project("acme/cars").delete(batch.id)
        world.trash("acme/drones")
    assert get(sim, f"{BATCHES}/{batch.id}").status_code == 404
    assert [one["id"] for one in get(sim, "/acme").json()["workspace"]["projects"]] == ["acme/cars"]


def test_a_project_that_takes_anothers_place_is_seen(sim: Simulator, world: World) -> None:
    get(sim, "/acme")
    with sim.lock:
        world.trash("acme/drones")
        world.add("acme/boats")
    ids = [one["id"] for one in get(sim, "/acme").json()["workspace"]["projects"]]
    assert ids == ["acme/cars", "acme/boats"]


# Keys.


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}])
@pytest.mark.parametrize("path", ["/", "/acme", BATCHES, "/nowhere"])
def test_a_missing_or_wrong_key_is_a_401(sim: Simulator, path: str, headers: dict[str, str]) -> None:
    response = requests.get(sim.url + path, headers=headers, timeout=5)
    assert response.status_code == 401
    assert {"message", "type", "hint"} <= set(response.json()["error"])


def test_a_key_may_come_in_the_query(sim: Simulator) -> None:
    def status(key: str) -> int:
        return requests.get(sim.url + BATCHES, params={"api_key": key}, timeout=5).status_code

    assert status(sim.keys["acme"]) == 200
    assert status("wrong") == 401


def test_each_workspace_has_its_own_key_and_does_not_show_itself_to_others(sim: Simulator) -> None:
    assert sim.keys["acme"] != sim.keys["globex"]
    assert get(sim, "/globex", key=sim.keys["globex"]).status_code == 200
    assert get(sim, "/globex").status_code == 404
    assert get(sim, "/globex/cars/batches").status_code == 404


def test_keys_can_be_set(world: World) -> None:
    with Simulator(world, ServerSettings(keys={"acme": "mine"})) as sim:
        assert sim.keys["acme"] == "mine"
        assert get(sim, key="mine").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/acme/nothing/batches", f"{BATCHES}/nothing", "/acme/cars/jobs/nothing", "/acme/cars"],
)
def test_what_does_not_exist_is_a_plain_404(sim: Simulator, path: str) -> None:
    response = get(sim, path)
    assert response.status_code == 404
    assert response.json()["error"]["type"] != "GraphMethodException"


# HTTP.


def test_one_connection_serves_many_requests(sim: Simulator) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(sim.url.rpartition(":")[2]), timeout=5)
    headers = {"Authorization": f"Bearer {sim.keys['acme']}"}
    connection.request("GET", BATCHES, headers=headers)
    connection.getresponse().read()
    first = connection.sock
    for path in ("/nowhere", "/acme", BATCHES):
        connection.request("GET", path, headers=headers)
        connection.getresponse().read()
        assert connection.sock is first is not None
    connection.close()


def test_it_listens_on_loopback_alone(sim: Simulator) -> None:
    assert sim.url.startswith("http://127.0.0.1:")


def test_without_the_setting_there_is_no_etag(sim: Simulator) -> None:
    assert "ETag" not in get(sim).headers


def test_an_etag_holds_until_the_project_changes(world: World) -> None:
    with Simulator(world, ServerSettings(has_etags=True)) as sim:
        etag = get(sim).headers["ETag"]
        unchanged = get(sim, headers={"If-None-Match": etag})
        assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", etag)
        with sim.lock:
            world.project("acme/cars").upload(images=1)
        changed = get(sim, headers={"If-None-Match": etag})
        assert changed.status_code == 200
        assert changed.headers["ETag"] != etag


def test_the_jobs_have_an_etag_of_their_own(world: World) -> None:
    with Simulator(world, ServerSettings(has_etags=True)) as sim:
        etag = get(sim, JOBS).headers["ETag"]
        assert etag != get(sim).headers["ETag"]
        unchanged = get(sim, JOBS, headers={"If-None-Match": etag})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        with sim.lock:
            project = world.project("acme/cars")
            job_id = next(job.id for job in project.jobs.values() if job.unannotated)
            project.annotate(job_id, images=1)
        changed = get(sim, JOBS, headers={"If-None-Match": etag})
        assert (changed.status_code, changed.headers["ETag"] == etag) == (200, False)


def test_what_arrived_is_kept(sim: Simulator) -> None:
    get(sim, "/acme?nocache=true")
    get(sim)
    get(sim)
    assert (sim.requests.count(BATCHES), sim.requests.count("/acme"), sim.requests.total) == (2, 1, 3)
    first, second, third = sim.requests.latest
    assert (first.method, first.path, dict(first.query)) == ("GET", "/acme", {"nocache": "true"})
    assert second.headers["authorization"] == f"Bearer {sim.keys['acme']}"
    assert first.arrived_at_s < second.arrived_at_s < third.arrived_at_s


def test_many_threads_read_while_the_world_changes(sim: Simulator, world: World) -> None:
    def read() -> None:
        with a_session(sim.keys["acme"]) as session:
            for _ in range(20):
                body = session.get(sim.url + BATCHES, timeout=5).json()
                totals.append(sum(row["images"] for row in body["batches"]))

    totals: list[int] = []
    expected = project_truth(world.project("acme/cars")).images
    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    while any(reader.is_alive() for reader in readers):
        with sim.lock:
            ids = list(world.project("acme/cars").batches)
            largest = world.project("acme/cars").merge(*ids[:2])
            world.project("acme/cars").split(largest.id, images=1)
    assert totals == [expected] * 160


# Faults.


@pytest.mark.parametrize("code", [400, 401, 402, 403, 404, 408, 423, 429, 500, 502, 503, 504])
def test_a_status_is_answered_once_and_in_the_documented_shape(sim: Simulator, code: int) -> None:
    sim.faults.add(Fault.status(code), path=BATCHES)
    response = get(sim)
    assert (response.status_code, response.json()["error"]["status"]) == (code, code)
    assert get(sim).status_code == 200


@pytest.mark.parametrize("value", ["1", "Mon, 05 Jan 2026 09:00:00 GMT"])
def test_a_429_says_when_to_come_back(sim: Simulator, value: str) -> None:
    sim.faults.add(Fault.status(429, headers={"Retry-After": value}))
    assert get(sim).headers["Retry-After"] == value


def test_a_status_can_have_any_body(sim: Simulator) -> None:
    sim.faults.add(Fault.status(503, "down", headers={"Content-Type": "text/plain"}))
    response = get(sim)
    assert (response.text, response.headers["Content-Type"]) == ("down", "text/plain")


def test_a_404_can_mean_a_missing_scope(sim: Simulator) -> None:
    sim.faults.add(Fault.missing_scope())
    response = get(sim)
    assert (response.status_code, response.json()["error"]["type"]) == (404, "GraphMethodException")


def test_200_can_be_html_or_an_error_or_not_json(sim: Simulator) -> None:
    for fault in (Fault.html(), Fault.error_key(), Fault.literal(b"\xff not JSON")):
        sim.faults.add(fault)
    page, error, other = get(sim), get(sim), get(sim)
    assert (page.status_code, error.status_code, other.status_code) == (200, 200, 200)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "error" in error.json()
    assert other.content == b"\xff not JSON"


def test_a_redirect_leads_elsewhere(sim: Simulator) -> None:
    sim.faults.add(Fault.redirect(f"{sim.url}/elsewhere"))
    response = get(sim, allow_redirects=False)
    assert (response.status_code, response.headers["Location"]) == (302, f"{sim.url}/elsewhere")


@pytest.mark.parametrize("is_during_body", [False, True])
def test_a_reset_is_a_reset(sim: Simulator, is_during_body: bool) -> None:  # noqa: FBT001 - a parameter.
    sim.faults.add(Fault.reset(is_during_body=is_during_body))
    with pytest.raises(requests.RequestException, match="reset by peer"):
        get(sim)
    assert get(sim).status_code == 200


def test_a_reset_after_the_answer_spoils_only_what_comes_then(sim: Simulator) -> None:
    sim.faults.add(Fault.reset_after())
    with closing(http.client.HTTPConnection(urlsplit(sim.url).netloc, timeout=5)) as connection:
        connection.request("GET", BATCHES, headers={"Authorization": f"Bearer {sim.keys['acme']}"})
        assert len(json.loads(connection.getresponse().read())["batches"]) > 0
        with pytest.raises(ConnectionResetError):
            connection.sock.recv(1)


def test_raw_bytes_are_sent_as_they_are(sim: Simulator) -> None:
    sim.faults.add(Fault.raw(b"HTTP/1.1 299 Odd\r\nX-A: b\r\n\r\nrest"))
    response = get(sim)
    assert (response.status_code, dict(response.headers), response.content) == (299, {"X-A": "b"}, b"rest")


def test_a_truncated_body_is_shorter_than_promised(sim: Simulator) -> None:
    whole = len(get(sim).content)
    sim.faults.add(Fault.truncated())
    with pytest.raises(
        requests.RequestException, match=f"{whole // 2} bytes read, {whole - whole // 2} more"
    ):
        get(sim)


@pytest.mark.parametrize("is_during_body", [False, True])
def test_a_stall_lasts_until_the_client_gives_up(
    sim: Simulator,
    is_during_body: bool,  # noqa: FBT001 - a parameter.
) -> None:
    sim.faults.add(Fault.stall(is_during_body=is_during_body))
    before = time.monotonic()
    with pytest.raises(requests.RequestException, match="timed out"):
        get(sim, timeout=0.3)
    assert 0.3 <= time.monotonic() - before < 3
    assert get(sim).status_code == 200


@pytest.mark.parametrize("is_during_body", [False, True])
def test_a_stall_may_end_in_the_right_answer(
    sim: Simulator,
    is_during_body: bool,  # noqa: FBT001 - a parameter.
) -> None:
    right = get(sim).content
    sim.faults.add(Fault.stall(0.3, is_during_body=is_during_body))
    before = time.monotonic()
    assert get(sim).content == right
    assert 0.3 <= time.monotonic() - before < 3


def test_a_trickle_never_lets_a_read_time_out(sim: Simulator) -> None:
    sim.faults.add(Fault.trickle(0.01), path="/")
    before = time.monotonic()
    body = get(sim, "/", timeout=0.5)
    assert body.json()["workspace"] == "acme"
    assert time.monotonic() - before > 0.01 * len(body.content) > 0.5


def test_a_huge_body_is_as_long_as_asked_for(sim: Simulator) -> None:
    sim.faults.add(Fault.huge(8))
    with a_session(sim.keys["acme"]) as session:
        response = session.get(sim.url + BATCHES, stream=True, timeout=5)
        assert int(response.headers["Content-Length"]) > 8 << 20
        assert sum(len(part) for part in response.iter_content(1 << 20)) == int(
            response.headers["Content-Length"]
        )


def test_a_gzip_bomb_is_small_on_the_wire_and_large_in_memory(sim: Simulator) -> None:
    sim.faults.add(Fault.gzip_bomb(16))
    with a_session(sim.keys["acme"]) as session:
        response = session.get(sim.url + BATCHES, stream=True, timeout=5)
        compressed = response.raw.read(decode_content=False)
    assert response.headers["Content-Encoding"] == "gzip"
    assert len(compressed) < 32_000
    assert len(gzip.decompress(compressed)) > 16 << 20


def test_an_endless_body_ends_with_the_clients_patience(sim: Simulator) -> None:
    sim.faults.add(Fault.endless())
    with a_session(sim.keys["acme"]) as session:
        response = session.get(sim.url + BATCHES, stream=True, timeout=5)
        parts = response.iter_content(1 << 20)
        assert sum(len(next(parts)) for _ in range(10)) > 5 << 20
        response.close()
    assert get(sim).status_code == 200


def test_a_hang_up_answers_rightly_and_breaks_the_next_request(sim: Simulator) -> None:
    sim.faults.add(Fault.hang_up())
    connection = http.client.HTTPConnection("127.0.0.1", int(sim.url.rpartition(":")[2]), timeout=5)
    connection.request("GET", "/")
    response = connection.getresponse()
    response.read()
    assert response.headers["Connection"] is None
    with pytest.raises(ConnectionError):  # noqa: PT012 - which of the two calls notices is a matter of timing.
        connection.request("GET", "/")
        connection.getresponse()
    connection.close()


def test_a_list_can_be_empty_partial_or_without_some_rows(sim: Simulator) -> None:
    rows = get(sim).json()["batches"]
    for fault in (Fault.empty_list(), Fault.partial_list(0.2), Fault.without(rows[3]["id"])):
        sim.faults.add(fault)
    assert get(sim).json() == {"batches": []}
    assert get(sim).json() == {"batches": rows[:24]}
    assert get(sim).json() == {"batches": rows[:3] + rows[4:]}
    assert get(sim).json() == {"batches": rows}


def test_a_workspace_can_hide_its_projects_too(sim: Simulator) -> None:
    sim.faults.add(Fault.empty_list(), path="/acme")
    workspace = get(sim, "/acme").json()["workspace"]
    assert (workspace["url"], workspace["projects"]) == ("acme", [])


def test_the_other_shapes_that_have_been_seen(sim: Simulator) -> None:
    rows = get(sim).json()["batches"]
    job = get(sim, "/acme/cars/jobs").json()["jobs"][0]
    for fault in (Fault.missing_key(), Fault.bare_list(), Fault.with_fields(status="active", images=None)):
        sim.faults.add(fault)
    assert get(sim).json() == {}
    assert get(sim).json() == rows
    assert get(sim).json()["batches"] == [{**row, "status": "active", "images": None} for row in rows]
    sim.faults.add(Fault.wrapped(), times=2)
    assert get(sim, f"{BATCHES}/{rows[0]['id']}").json() == {"batch": rows[0]}
    assert get(sim, f"/acme/cars/jobs/{job['id']}").json() == {"job": job}
    sim.faults.add(Fault.with_fields(status="active"))
    assert get(sim, f"{BATCHES}/{rows[0]['id']}").json() == {**rows[0], "status": "active"}


def test_the_jobs_can_go_wrong_while_the_batches_do_not(sim: Simulator) -> None:
    rows = get(sim, JOBS).json()["jobs"]
    faults = (
        *(Fault.empty_list(), Fault.partial_list(0.5), Fault.without(rows[0]["id"]), Fault.bare_list()),
        *(Fault.missing_key(), Fault.with_fields(status=None), Fault.status(500), Fault.html()),
    )
    for fault in faults:
        sim.faults.add(fault, path="/*/*/jobs")
    assert len(get(sim).json()["batches"]) == 30
    assert get(sim, JOBS).json() == {"jobs": []}
    assert get(sim, JOBS).json() == {"jobs": rows[: len(rows) - round(len(rows) / 2)]}
    assert get(sim, JOBS).json() == {"jobs": rows[1:]}
    assert get(sim, JOBS).json() == rows
    assert get(sim, JOBS).json() == {}
    assert get(sim, JOBS).json() == {"jobs": [{**row, "status": None} for row in rows]}
    assert get(sim, JOBS).status_code == 500
    assert get(sim, JOBS).headers["Content-Type"].startswith("text/html")
    assert get(sim, JOBS).json() == {"jobs": rows}
    assert sim.faults.pending == ()


def test_one_job_can_go_wrong_by_its_path(sim: Simulator) -> None:
    one, other = get(sim, JOBS).json()["jobs"][:2]
    sim.faults.add(Fault.status(404), path=f"{JOBS}/{one['id']}")
    assert get(sim, JOBS).status_code == 200
    assert get(sim, f"{JOBS}/{other['id']}").json() == other
    assert get(sim, f"{JOBS}/{one['id']}").status_code == 404
    assert get(sim, f"{JOBS}/{one['id']}").json() == one


def test_a_wrong_answer_has_an_etag_of_its_own(world: World) -> None:
    with Simulator(world, ServerSettings(has_etags=True)) as sim:
        right = get(sim).headers["ETag"]
        sim.faults.add(Fault.empty_list(), times=2)
        wrong = get(sim, headers={"If-None-Match": right})
        assert wrong.status_code == 200
        assert wrong.headers["ETag"] != right
        assert get(sim, headers={"If-None-Match": wrong.headers["ETag"]}).status_code == 304
        assert get(sim, headers={"If-None-Match": wrong.headers["ETag"]}).status_code == 200


def test_a_fault_holds_for_its_paths_and_times_after_those_it_skips(sim: Simulator) -> None:
    sim.faults.add(Fault.status(500), path="/*/cars/batches", times=2, skip=1)
    assert get(sim, "/acme/drones/batches").status_code == 200
    assert [get(sim).status_code for _ in range(4)] == [200, 500, 500, 200]
    assert sim.faults.pending == ()


def test_faults_are_used_in_the_order_they_were_added(sim: Simulator) -> None:
    for code in (500, 429):
        sim.faults.add(Fault.status(code))
    assert [get(sim).status_code for _ in range(3)] == [500, 429, 200]


def test_a_fault_without_times_holds_until_it_is_cleared(sim: Simulator) -> None:
    sim.faults.add(Fault.status(500), times=None)
    assert [get(sim).status_code for _ in range(3)] == [500, 500, 500]
    assert len(sim.faults.pending) == 1
    sim.faults.clear()
    assert get(sim).status_code == 200


# The end.


@pytest.mark.parametrize(
    "fault",
    [Fault.stall(), Fault.stall(is_during_body=True), Fault.trickle(), Fault.endless(), Fault.huge(512)],
)
def test_the_end_wakes_whoever_stalls_and_leaves_no_thread(world: World, fault: Fault) -> None:
    threads = threading.active_count()
    with Simulator(world) as sim:
        sim.faults.add(fault)
        connection = http.client.HTTPConnection("127.0.0.1", int(sim.url.rpartition(":")[2]), timeout=5)
        connection.request("GET", BATCHES, headers={"Authorization": f"Bearer {sim.keys['acme']}"})
        while not sim.requests.total:
            time.sleep(0.01)
        before = time.monotonic()
    assert time.monotonic() - before < 3
    assert threading.active_count() == threads
    connection.close()


def test_the_end_closes_connections_that_are_kept_alive(world: World) -> None:
    with Simulator(world) as sim, a_session(sim.keys["acme"]) as session:
        session.get(sim.url + BATCHES, timeout=5)
        before = time.monotonic()
        sim.__exit__(None, None, None)
        assert time.monotonic() - before < 3
        with pytest.raises(requests.ConnectionError):
            session.get(sim.url + BATCHES, timeout=5)


# A process of its own.


@contextmanager
def a_process(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [sys.executable, "-m", "etl.simulator", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_where_it_is_and_ends_cleanly(number: signal.Signals) -> None:
    with a_process("--key", "mine", "--projects", "2", "--batches", "4", "--etag") as (process, ready):
        assert set(ready) == {"url", "keys"}
        with a_session("mine") as session:
            response = session.get(ready["url"] + BATCHES, timeout=5)
        assert len(response.json()["batches"]) == 4
        assert "ETag" in response.headers
        before = time.monotonic()
        os.kill(process.pid, number)
        assert process.wait(timeout=5) == 0
        assert time.monotonic() - before < 3
        assert process.communicate()[0] == ""


def test_another_process_can_evolve_the_world_and_ask_for_the_truth() -> None:
    def call(method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        response = requests.request(method, f"{url}/_sim/{path}", data=body, timeout=5)
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        return document

    with a_process("--seed", "5", "--batches", "50", "--warm") as (_, ready):
        url, key = ready["url"], ready["keys"]["acme"]
        same = World.seeded(5, batches_per_project=50)
        assert call("POST", "change?share=0.1") == {"changed": same.change(0.1)} == {"changed": 15}
        at = datetime(2026, 1, 6, tzinfo=UTC)
        happened = call("POST", "step?at=2026-01-06T00:00:00Z&events=5")["events"]
        assert happened == json.loads(msgspec.json.encode(same.step(at, events=5)))
        truth = truth_of(same)
        assert call("GET", "truth?totals=1")["images"] == truth.images
        assert call("GET", "truth")["projects"].keys() == truth.projects.keys()
        one = call("GET", "truth?project=acme/cars")["batches"]
        assert one == json.loads(msgspec.json.encode(dict(truth.projects["acme/cars"].batches)))
        jobs = job_truth(same.project("acme/cars"))
        assert call("GET", "jobs?project=acme/cars") == json.loads(msgspec.json.encode(dict(jobs)))
        rule = Rule(Fault.with_fields(status="active"), path=BATCHES)
        assert len(call("POST", "faults", msgspec.json.encode(rule))["pending"]) == 1
        with a_session(key) as session:
            assert session.get(url + BATCHES, timeout=5).json()["batches"][0]["status"] == "active"
        assert call("GET", "requests") == {"total": 1, "counts": {BATCHES: 1}}
        assert call("DELETE", "requests")["total"] == 0
        call("POST", "faults", msgspec.json.encode(rule))
        assert call("DELETE", "faults") == {"pending": []}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "nothing", 404),
        ("GET", "step", 404),
        ("POST", "change", 400),
        ("POST", "step?at=yesterday", 400),
        ("POST", "step?at=2026-01-06T00:00:00", 400),
        ("POST", "faults", 400),
        ("GET", "truth?project=acme/nothing", 400),
        ("GET", "jobs", 400),
    ],
)
def test_a_wrong_order_is_refused_with_a_reason(world: World, method: str, path: str, status: int) -> None:
    with Simulator(world, ServerSettings(has_admin=True)) as sim:
        response = requests.request(method, f"{sim.url}/_sim/{path}", timeout=5)
    assert (response.status_code, set(response.json())) == (status, {"error"})


def test_in_process_there_is_no_way_in_without_a_key(sim: Simulator) -> None:
    assert requests.post(f"{sim.url}/_sim/step", timeout=5).status_code == 401


def test_the_process_can_evolve_by_itself() -> None:
    with a_process("--step-every", "0.05") as (_, ready):
        truth = [requests.get(f"{ready['url']}/_sim/truth", timeout=5).content]
        deadline = time.monotonic() + 5
        while truth[-1] == truth[0] and time.monotonic() < deadline:
            truth.append(requests.get(f"{ready['url']}/_sim/truth", timeout=5).content)
    assert truth[-1] != truth[0]


def test_it_is_an_oracle_of_its_own_and_uses_nothing_of_what_it_judges() -> None:
    program = (
        "import sys, etl.simulator.__main__; print([one for one in sys.modules if one.startswith('etl')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = json.loads(done.stdout.replace("'", '"'))
    assert {one for one in modules if not one.startswith("etl.simulator")} == {"etl"}
