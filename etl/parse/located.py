"""Where a body tells of a batch."""

from __future__ import annotations

import msgspec

from etl.parse.batches import BATCHES
from etl.parse.body import list_of, object_of, opened
from etl.parse.record import parse_record


class Located(msgspec.Struct, frozen=True):
    """
    One record where it lies in a body.

    `position` is its place in the list, from 0, and `count` how many there are; None where the body is the
    one batch that was asked for. `offset` and the length of `raw` are in bytes.
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
    whole = opened(body)
    if isinstance(whole, dict) and "batches" not in whole:
        raw = bytes(object_of(whole).get("batch", msgspec.Raw(body)))
        return Located(raw, _offset(body, raw)) if _tells_of(0, msgspec.Raw(raw), batch_id) else None
    records = whole if isinstance(whole, list) else list_of(object_of(whole), "batches")
    # The list itself comes first: what stands before it may look the same as a record.
    end = 0 if isinstance(whole, list) else _offset(body, bytes(object_of(whole)["batches"]))
    for position, record in enumerate(records):
        raw = bytes(record)
        begin = _offset(body, raw, end)
        if _tells_of(position, record, batch_id):
            return Located(raw, begin, position, len(records))
        end = begin + len(raw)
    return None


def _offset(body: bytes, raw: bytes, start: int = 0) -> int:
    return body.index(raw, start)


def _tells_of(position: int, record: msgspec.Raw, batch_id: str) -> bool:
    return parse_record(BATCHES, position, record).record_id == batch_id
