"""A list of records, or the one record of a look-up → what they tell; every one of them once."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from etl.errors import PayloadError
from etl.parse.body import UNDECODABLE, UnusableError, list_of, object_of, opened, raw_text
from etl.parse.record import Kind, RecordT, parse_record
from etl.records import Reject, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def parse_list(kind: Kind[RecordT], body: bytes) -> Snapshot[RecordT]:
    """Read a list, bare or as the documented member of an object."""
    plain = _plain(kind, body)
    if plain is not None:
        return Snapshot(plain)
    whole = opened(body)
    return _snapshot(kind, whole if isinstance(whole, list) else list_of(object_of(whole), kind.many))


def parse_one(kind: Kind[RecordT], body: bytes, record_id: str) -> RecordT:
    """Read the record that was asked for, bare or as the only member of an object."""
    fields = object_of(opened(body))
    parsed = parse_record(kind, fields.get(kind.one, msgspec.Raw(body)))
    if isinstance(parsed, Reject):
        raise PayloadError(f"the look-up of a {kind.one} cannot be used: {parsed.reason}")
    if parsed.record_id != record_id:
        raise PayloadError(f"the look-up of a {kind.one} answered with another {kind.one}")
    return parsed


def _plain(kind: Kind[RecordT], body: bytes) -> tuple[RecordT, ...] | None:
    """Take a body whose every record is as documented, in one pass; None leaves it to be taken apart."""
    try:
        records = tuple(kind.plain_list(body))
    except (*UNDECODABLE, UnusableError):
        return None
    return records if len({record.record_id for record in records}) == len(records) else None


def _snapshot(kind: Kind[RecordT], records: Sequence[msgspec.Raw]) -> Snapshot[RecordT]:
    parsed = [parse_record(kind, record, position) for position, record in enumerate(records)]
    read = [record for record in parsed if not isinstance(record, Reject)]
    if len({record.record_id for record in read}) < len(read):
        parsed = _without_duplicates(records, parsed)
    return Snapshot(
        tuple(record for record in parsed if not isinstance(record, Reject)),
        tuple(record for record in parsed if isinstance(record, Reject)),
    )


def _without_duplicates(
    records: Sequence[msgspec.Raw], parsed: Sequence[RecordT | Reject]
) -> list[RecordT | Reject]:
    """Keep the first of equal records; of records that contradict one another believe none."""
    by_id: defaultdict[str, list[tuple[int, RecordT]]] = defaultdict(list)
    for position, record in enumerate(parsed):
        if not isinstance(record, Reject):
            by_id[record.record_id].append((position, record))
    twice = dict(_duplicates(by_id.values()))
    return [
        Reject(position, twice[position], raw_text(records[position]), record.record_id)
        if position in twice
        else record
        for position, record in enumerate(parsed)
    ]


def _duplicates(groups: Iterable[list[tuple[int, RecordT]]]) -> Iterator[tuple[int, str]]:
    for group in groups:
        (first, record), *rest = group
        if all(other == record for _, other in rest):
            yield from ((position, f"id repeats the record at position {first}") for position, _ in rest)
        else:
            reason = f"id appears {len(group)} times with different values"
            yield from ((position, reason) for position, _ in group)
