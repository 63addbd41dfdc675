"""Where a body tells of a batch, or of a job."""

from __future__ import annotations

import msgspec

from etl.parse.batches import BATCHES
from etl.parse.body import list_of, object_of, opened
from etl.parse.jobs import JOBS
from etl.parse.record import Kind, RecordT, parse_record


class Located(msgspec.Struct, frozen=True):
    """
    One record where it lies in a body.

    `position` is its place in the list, from 0, and `count` how many there are; None where the body is the
    one record that was asked for. `offset` and the length of `raw` are in bytes.
    """

    raw: bytes
    offset: int
    position: int | None = None
    count: int | None = None


def locate_batch(body: bytes, batch_id: str) -> Located | None:
    """
    Find the record that a body has of a batch; None if it has none.

    Args:
        body: As for `parse_batches`, or for `parse_batch`.
        batch_id: The batch.

    Raises:
        PayloadError: The body is not a documented shape.
    """
    return _locate(BATCHES, body, batch_id)


def locate_job(body: bytes, job_id: str) -> Located | None:
    """Find the record that a body has of an annotation job; as with batches."""
    return _locate(JOBS, body, job_id)


def _locate(kind: Kind[RecordT], body: bytes, record_id: str) -> Located | None:
    whole = opened(body)
    if isinstance(whole, dict) and kind.many not in whole:
        raw = bytes(object_of(whole).get(kind.one, msgspec.Raw(body)))
        is_it = _tells_of(kind, msgspec.Raw(raw), record_id)
        return Located(raw, _offset(body, raw)) if is_it else None
    records = whole if isinstance(whole, list) else list_of(object_of(whole), kind.many)
    # The list itself comes first: what stands before it may look the same as a record.
    end = 0 if isinstance(whole, list) else _offset(body, bytes(object_of(whole)[kind.many]))
    for position, record in enumerate(records):
        raw = bytes(record)
        begin = _offset(body, raw, end)
        if _tells_of(kind, record, record_id):
            return Located(raw, begin, position, len(records))
        end = begin + len(raw)
    return None


def _offset(body: bytes, raw: bytes, start: int = 0) -> int:
    return body.index(raw, start)


def _tells_of(kind: Kind[RecordT], record: msgspec.Raw, record_id: str) -> bool:
    return parse_record(kind, record).record_id == record_id
