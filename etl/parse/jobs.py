"""A list of annotation jobs, or the one job of a look-up → records; every one of them once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from etl.parse.body import UnusableError
from etl.parse.extra import extra
from etl.parse.listing import parse_list, parse_one
from etl.parse.record import Count, Kind, Timestamp, count, is_plain, moment, needed_count, text
from etl.parse.text import is_id, is_storable
from etl.records import Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from etl.records import Snapshot


class _PlainJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A job exactly as documented, but for who owns it: decoded and checked in one pass."""

    id: str
    images: Count = msgspec.field(name="numImages")
    created: Timestamp
    source: str = msgspec.field(name="sourceBatch")
    project: str
    name: str | None = None
    status: str | None = None
    annotated: Count | None = None
    unannotated: Count | None = None
    approved: Count | None = None
    rejected: Count | None = None
    labeler: str | None = None
    reviewer: str | None = None
    instructions: Literal["", "No instructions provided"] = msgspec.field(name="instructionsText", default="")


class _PlainList(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A list of such jobs."""

    jobs: list[_PlainJob]


_PLAIN_LIST: Final = msgspec.json.Decoder(_PlainList)
_PLAIN: Final = msgspec.json.Decoder(_PlainJob)
_COUNTS: Final = ("annotated", "unannotated", "approved", "rejected")
_NO_INSTRUCTIONS: Final = ("", "No instructions provided")
_KNOWN: Final = frozenset({"id", "numImages", "name", "status", *_COUNTS})


def parse_jobs(body: bytes) -> Snapshot[Job]:
    """
    Turn one response body into the annotation jobs of a project.

    Args:
        body: JSON as received, or with people taken out: `{"jobs": […]}` or a bare list.

    Returns:
        Every record once, in the order received; rejects beside them. Empty means that the project has none.

    Raises:
        PayloadError: The body is not a documented shape. Nothing of it may be believed.

    Source: Roboflow documentation, "List Annotation Jobs"; the bare list: as with batches.
    """
    return parse_list(JOBS, body)


def parse_job(body: bytes, job_id: str) -> Job:
    """
    Turn the answer to a look-up into the one job that was asked for.

    Args:
        body: JSON as received, or with people taken out: the bare object, or `{"job": {…}}`.
        job_id: The id that was asked for.

    Raises:
        PayloadError: The body is not a documented shape, cannot be used, or is another job.

    Source: Roboflow documentation, "View Annotation Job"; the wrapped form: Roboflow's SDK tests.
    """
    return parse_one(JOBS, body, job_id)


def _plain_list(body: bytes) -> Iterable[Job]:
    return map(_from_plain, _PLAIN_LIST.decode(body).jobs)


def _plain(record: msgspec.Raw) -> Job:
    return _from_plain(_PLAIN.decode(record))


def _from_plain(record: _PlainJob) -> Job:
    batch_id = record.source.removeprefix(f"{record.project}/")
    texts = (record.name, record.status, record.labeler, record.reviewer)
    if not is_plain(record.id, *texts) or not is_plain(batch_id) or batch_id == record.source:
        raise UnusableError
    return Job(
        job_id=record.id,
        images=record.images,
        name=record.name,
        status=record.status,
        batch_id=batch_id,
        annotated=record.annotated,
        unannotated=record.unannotated,
        approved=record.approved,
        rejected=record.rejected,
        labeler=record.labeler or None,
        reviewer=record.reviewer or None,
        created_at=record.created.at,
    )


def _loose(job_id: str, fields: dict[str, Any]) -> Job:
    images = needed_count(fields, "numImages")
    source = text(fields, "sourceBatch")
    batch_id = _batch_id(source)
    created_at, is_exact = moment(fields, "created")
    told = {*_KNOWN, *_told(fields, source, batch_id), *(("created",) if is_exact else ())}
    return Job(
        job_id=job_id,
        images=images,
        name=text(fields, "name"),
        status=text(fields, "status"),
        batch_id=batch_id,
        annotated=count(fields, "annotated"),
        unannotated=count(fields, "unannotated"),
        approved=count(fields, "approved"),
        rejected=count(fields, "rejected"),
        labeler=_person(fields.get("labeler")),
        reviewer=_person(fields.get("reviewer")),
        created_at=created_at,
        extra=extra({key: fields[key] for key in sorted(fields.keys() - told)}),
    )


def _batch_id(source: str | None) -> str | None:
    """Read `<internal id of the project>/<batch id>`; what ends in no id names no batch."""
    batch_id = (source or "").rpartition("/")[2]
    return batch_id if is_id(batch_id) else None


def _person(value: object) -> str | None:
    """Take a person who is named in one text; any other way to say who spoils no count."""
    return value if isinstance(value, str) and value and is_storable(value) else None


def _told(fields: dict[str, Any], source: str | None, batch_id: str | None) -> Iterator[str]:
    """Give the fields of which nothing is left to keep beside what the job tells."""
    if source is None or batch_id is not None:
        yield "sourceBatch"
    if source is not None and source == f"{fields.get('project')}/{batch_id}":
        yield "project"
    for key in ("labeler", "reviewer"):
        if fields.get(key) in (None, "", _person(fields.get(key))):
            yield key
    if fields.get("instructionsText") in _NO_INSTRUCTIONS:
        yield "instructionsText"


JOBS: Final = Kind("job", "jobs", _plain_list, _plain, _loose)
