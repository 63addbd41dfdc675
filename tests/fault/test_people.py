"""Whom the source names when it refuses is told nowhere: by no output, by no log, in no table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from etl.simulator import Fault

if TYPE_CHECKING:
    from tests.fault.harness import Scene

TOLD: Final = 'User jane.doe@acme.com may not see jobs of "bob lee"@acme.com, nor bob%40acme.com'
LEFT: Final = "User [address removed] may not see jobs of [address removed], nor [address removed]"
WORDS: Final = ("jane", "bob", "acme.com")
ERRORS: Final = "SELECT jobs_error FROM analytics.observation WHERE jobs_error IS NOT NULL"


@pytest.mark.parametrize("people", ["omit", "keep"])
@pytest.mark.parametrize("where", ["jobs", "jobs/*"], ids=["the list", "a look-up"])
def test_a_refusal_that_names_people_is_told_without_them(scene: Scene, where: str, people: str) -> None:
    """Nobody needs their address to understand an error, whatever is kept of jobs."""
    environ = {"BATCHLEDGER_JOBS__READ": "always", "BATCHLEDGER_LOG__FORMAT": "json"}
    assert scene.sync("--json", **environ)[0] == 0
    body = json.dumps({"error": {"message": TOLD}})
    scene.simulator.faults.add(Fault.status(403, body), path=f"/*/*/{where}", times=None)
    if where != "jobs":
        scene.simulator.faults.add(Fault.partial_list(0.1), path="/*/*/jobs", times=None)
    _, process = scene.sync("--json", "--debug", BATCHLEDGER_JOBS__PEOPLE=people, **environ)
    said = process.printed + process.said
    with psycopg.connect(scene.database) as connection:
        errors = [error for (error,) in connection.execute(ERRORS)]
    assert [word for word in WORDS if word in said + str(errors)] == []
    assert LEFT in said
    assert any(LEFT in error for error in errors) is (where == "jobs")
