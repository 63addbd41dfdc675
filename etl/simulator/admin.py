"""
What is under `/_sim/`: how another process evolves the world, orders faults and asks for the truth.

| call | does |
|---|---|
| `POST /_sim/step?at=2026-01-05T09:00:00Z&events=3` | random events; unless said now, and one to three |
| `POST /_sim/change?share=0.01` | appends images to that share of all batches, evenly over the projects |
| `POST /_sim/faults` | adds the rule in the body: a `Rule` as JSON |
| `DELETE /_sim/faults` | takes all rules away |
| `GET /_sim/faults` | the rules that are not used up |
| `GET /_sim/truth?project=acme/cars` | the truth about one project |
| `GET /_sim/jobs?project=acme/cars` | the truth about its jobs |
| `GET /_sim/truth` | the truth about all of them; with `totals=1` no more than the sums |
| `GET /_sim/requests` | how many requests arrived, for each path |
| `DELETE /_sim/requests` | forgets them |
"""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from etl.simulator.answer import Answer, Request
from etl.simulator.faults import Rule
from etl.simulator.truth import job_truth, project_truth, truth_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.simulator.server import Simulator

PREFIX = "/_sim/"


def answer(simulator: Simulator, request: Request) -> Answer:
    """Do what a request under `/_sim/` asks for."""
    action = _ACTIONS.get((request.method, request.path.removeprefix(PREFIX)))
    if action is None:
        return _json({"error": f"there is no {request.method} {request.path}"}, 404)
    try:
        return _json(action(simulator, request))
    except (ValueError, KeyError) as error:
        return _json({"error": f"{type(error).__name__}: {error}"}, 400)


def _step(simulator: Simulator, request: Request) -> object:
    at = request.query.get("at")
    events = request.query.get("events")
    with simulator.lock:
        happened = simulator.world.step(
            datetime.fromisoformat(at) if at else datetime.now(UTC), events=int(events) if events else None
        )
        simulator.warm()
    return {"events": happened}


def _change(simulator: Simulator, request: Request) -> object:
    with simulator.lock:
        changed = simulator.world.change(float(request.query["share"]))
        simulator.warm()
    return {"changed": changed}


def _truth(simulator: Simulator, request: Request) -> object:
    with simulator.lock:
        path = request.query.get("project")
        if path:
            return project_truth(simulator.world.project(path))
        truth = truth_of(simulator.world)
    if request.query.get("totals"):
        return {"batches": truth.batches, "images": truth.images, "num_jobs": truth.num_jobs}
    return truth


def _jobs(simulator: Simulator, request: Request) -> object:
    with simulator.lock:
        return job_truth(simulator.world.project(request.query["project"]))


def _add_fault(simulator: Simulator, request: Request) -> object:
    simulator.faults.add_rule(msgspec.json.decode(request.body, type=Rule))
    return _faults(simulator, request)


def _clear_faults(simulator: Simulator, request: Request) -> object:
    simulator.faults.clear()
    return _faults(simulator, request)


def _faults(simulator: Simulator, _request: Request) -> object:
    return {"pending": simulator.faults.pending}


def _requests(simulator: Simulator, _request: Request) -> object:
    return {"total": simulator.requests.total, "counts": dict(simulator.requests.counts)}


def _clear_requests(simulator: Simulator, request: Request) -> object:
    simulator.requests.clear()
    return _requests(simulator, request)


def _json(document: object, status: int = 200) -> Answer:
    return Answer(status, msgspec.json.encode(document, enc_hook=_plain))


def _plain(value: object) -> object:
    """The truth is read-only, which JSON cannot say."""
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in JSON")


_ACTIONS: dict[tuple[str, str], Callable[[Simulator, Request], object]] = {
    ("POST", "step"): _step,
    ("POST", "change"): _change,
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _clear_faults,
    ("GET", "faults"): _faults,
    ("GET", "truth"): _truth,
    ("GET", "jobs"): _jobs,
    ("GET", "requests"): _requests,
    ("DELETE", "requests"): _clear_requests,
}
