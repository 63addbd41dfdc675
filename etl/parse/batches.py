"""A list of batches, or the one batch of a look-up → records; every one of them once."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from etl.errors import PayloadError
from etl.parse.body import list_of, object_of, opened, raw_text
from etl.parse.record import parse_record, plain_batches
from etl.records import Batch, Reject, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def parse_batches(body: bytes) -> Snapshot[Batch]:
    """
    Turn one response body into the batches of a project.

    Args:
        body: JSON as received: `{"batches": […]}` or a bare list.

    Returns:
        Every record once, in the order received; rejects beside them. Empty means that the project has none.

    Raises:
        PayloadError: The body is not a documented shape. Nothing of it may be believed.

    Source: Roboflow documentation, "List Image Batches"; the bare list: Roboflow's CLI.
    """
    plain = plain_batches(body)
    if plain is not None:
        return Snapshot(plain)
    whole = opened(body)
    return _snapshot(whole if isinstance(whole, list) else list_of(object_of(whole), "batches"))


def parse_batch(body: bytes, batch_id: str) -> Batch:
    """
    Turn the answer to a look-up into the one batch that was asked for.

    Args:
        body: JSON as received: the bare object, or `{"batch": {…}}`.
        batch_id: The id that was asked for.

    Raises:
        PayloadError: The body is not a documented shape, cannot be used, or is another batch.

    Source: Roboflow documentation, "View Batch"; the wrapped form: Roboflow's SDK tests.
    """
    fields = object_of(opened(body))
    parsed = parse_record(0, fields.get("batch", msgspec.Raw(body)))
    if isinstance(parsed, Reject):
        raise PayloadError(f"the look-up of a batch cannot be used: {parsed.reason}")
    if parsed.batch_id != batch_id:
        raise PayloadError("the look-up of a batch answered with another batch")
    return parsed


def _snapshot(records: Sequence[msgspec.Raw]) -> Snapshot[Batch]:
    parsed = [parse_record(position, record) for position, record in enumerate(records)]
    batches = [record for record in parsed if isinstance(record, Batch)]
    if len({batch.batch_id for batch in batches}) < len(batches):
        parsed = _without_duplicates(records, parsed)
    return Snapshot(
        tuple(record for record in parsed if isinstance(record, Batch)),
        tuple(record for record in parsed if isinstance(record, Reject)),
    )


def _without_duplicates(
    records: Sequence[msgspec.Raw], parsed: Sequence[Batch | Reject]
) -> list[Batch | Reject]:
    """Keep the first of equal records; of records that contradict one another believe none."""
    by_id: defaultdict[str, list[tuple[int, Batch]]] = defaultdict(list)
    for position, record in enumerate(parsed):
        if isinstance(record, Batch):
            by_id[record.batch_id].append((position, record))
    twice = dict(_duplicates(by_id.values()))
    return [
        Reject(position, twice[position], raw_text(records[position]), record.batch_id)
        if isinstance(record, Batch) and position in twice
        else record
        for position, record in enumerate(parsed)
    ]


def _duplicates(groups: Iterable[list[tuple[int, Batch]]]) -> Iterator[tuple[int, str]]:
    for group in groups:
        (first, batch), *rest = group
        if all(other == batch for _, other in rest):
            yield from ((position, f"id repeats the record at position {first}") for position, _ in rest)
        else:
            reason = f"id appears {len(group)} times with different values"
            yield from ((position, reason) for position, _ in group)
