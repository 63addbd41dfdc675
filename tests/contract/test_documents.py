"""The documented bodies give the expected records; `documents/README.md` says where each comes from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from etl.parse import (
    error_text,
    error_type,
    parse_batch,
    parse_batches,
    parse_job,
    parse_jobs,
    parse_root,
    parse_workspace,
)
from etl.parse.people import People, scrubbed
from etl.records import Batch, Job, Listing, Project, Slug, Snapshot

DOCUMENTS = Path(__file__).parent / "documents"


def document(name: str) -> bytes:
    return (DOCUMENTS / f"{name}.json").read_bytes()


def test_the_documented_list_of_batches() -> None:
    assert parse_batches(document("batches")) == Snapshot(
        (
            Batch(
                batch_id="<BATCH_ID 1>",
                name="Uploaded on 11/22/22 at 1:39 pm",
                num_jobs=2,
                images=115,
                uploaded_at=datetime(2022, 11, 22, 19, 40, 24, 818000, tzinfo=UTC),
            ),
            Batch(
                batch_id="<BATCH_ID 2>",
                name="Upload via API",
                num_jobs=0,
                images=11,
                uploaded_at=datetime(2022, 11, 23, 20, 54, 33, 47000, tzinfo=UTC),
            ),
        )
    )


def test_the_documented_single_batch() -> None:
    assert parse_batch(document("batch"), "<BATCH_ID>") == Batch(
        batch_id="<BATCH_ID>",
        name="Uploaded on 11/22/22 at 1:39 pm",
        num_jobs=2,
        images=115,
        uploaded_at=datetime(2022, 11, 22, 19, 40, 24, 818000, tzinfo=UTC),
    )


def test_the_wrapped_single_batch() -> None:
    assert parse_batch(document("batch_wrapped"), "b1") == Batch(
        "b1", 11, name="Upload via API", num_jobs=0, extra='{"status":"active"}'
    )


def test_the_bare_list_of_batches() -> None:
    assert parse_batches(document("batches_bare_list")) == Snapshot(
        (Batch("b1", 11, name="Upload via API", num_jobs=0),)
    )


JOB = Job(
    job_id="5LfYNJg10Z9Kvx5Tt5Uq",
    images=26,
    name="Uploaded on 11/22/22 at 1:39 pm: Job 9",
    status="assigned",
    batch_id="6VN0fFQIWU1E24bDjGsN",
    annotated=3,
    unannotated=23,
    approved=0,
    rejected=0,
    created_at=datetime(2022, 11, 22, 20, 14, 48, 297000, tzinfo=UTC),
)


def test_the_documented_list_of_jobs_without_its_people() -> None:
    assert parse_jobs(scrubbed(document("jobs"), People())) == Snapshot((JOB,))


def test_the_documented_list_of_jobs_with_its_people() -> None:
    (job,) = parse_jobs(document("jobs")).records
    assert (job.labeler, job.reviewer) == ("labeler@example.com", "reviewer@example.com")
    assert job.extra == '{"createdBy":"reviewer@example.com","owner":"<OWNER>"}'


def test_the_documented_single_job() -> None:
    assert parse_job(scrubbed(document("job"), People()), "0IzntY4ms4ogwHwJNkIB") == Job(
        job_id="0IzntY4ms4ogwHwJNkIB",
        images=2,
        name="API Job 1",
        status="assigned",
        batch_id="6VN0fFQIWU1E24bDjGsN",
        annotated=0,
        unannotated=2,
        approved=0,
        rejected=0,
        created_at=datetime(2022, 11, 23, 20, 12, 25, 61000, tzinfo=UTC),
    )


def test_the_wrapped_single_job() -> None:
    assert parse_job(document("job_wrapped"), "j1") == Job(
        "j1", 10, name="Job 1", status="assigned", annotated=4
    )


def test_the_documented_workspace() -> None:
    assert parse_workspace(document("workspace"), "roboflow") == Listing(
        "roboflow", (Project(Slug("roboflow", "chess-sample-4ckfl"), "Chess Sample", "object-detection"),)
    )


def test_the_documented_root() -> None:
    assert parse_root(document("root")) == "roboflow"


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("error_text", "Not found", ""),
        ("error_object", "Unsupported request", "GraphMethodException"),
        ("error_message", "Too many requests", ""),
    ],
)
def test_the_errors_that_were_seen(name: str, text: str, kind: str) -> None:
    assert (error_text(document(name)), error_type(document(name))) == (text, kind)


def test_every_document_has_its_source() -> None:
    readme = (DOCUMENTS / "README.md").read_text(encoding="utf-8")
    names = [path.name for path in DOCUMENTS.glob("*.json")]
    assert names
    assert [name for name in names if f"`{name}`" not in readme] == []
