"""A list of batches, or the one batch of a look-up → records; every one of them once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from etl.parse.body import UnusableError
from etl.parse.extra import extra
from etl.parse.listing import parse_list, parse_one
from etl.parse.record import Count, Kind, Timestamp, count, is_plain, moment, needed_count, text
from etl.records import Batch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.records import Snapshot


class _PlainBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A batch exactly as documented: the common case, decoded and checked in one pass."""

    id: str
    images: Count
    uploaded: Timestamp
    name: str | None = None
    num_jobs: Count | None = msgspec.field(name="numJobs", default=None)


class _PlainList(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A list of batches exactly as documented."""

    batches: list[_PlainBatch]


_PLAIN_LIST: Final = msgspec.json.Decoder(_PlainList)
_PLAIN: Final = msgspec.json.Decoder(_PlainBatch)
_KNOWN: Final = frozenset({"id", "images", "name", "numJobs", "uploaded"})


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
    return parse_list(BATCHES, body)


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
    return parse_one(BATCHES, body, batch_id)


def _plain_list(body: bytes) -> Iterable[Batch]:
    return map(_from_plain, _PLAIN_LIST.decode(body).batches)


def _plain(record: msgspec.Raw) -> Batch:
    return _from_plain(_PLAIN.decode(record))


def _from_plain(record: _PlainBatch) -> Batch:
    if not is_plain(record.id, record.name):
        raise UnusableError
    return Batch(record.id, record.images, record.name, record.num_jobs, record.uploaded.at)


def _loose(batch_id: str, fields: dict[str, Any]) -> Batch:
    images = needed_count(fields, "images")
    uploaded_at, is_exact = moment(fields, "uploaded")
    unknown = fields.keys() - _KNOWN
    kept = sorted(unknown if is_exact else unknown | {"uploaded"})
    return Batch(
        batch_id,
        images,
        text(fields, "name"),
        count(fields, "numJobs"),
        uploaded_at,
        extra({key: fields[key] for key in kept}),
    )


BATCHES: Final = Kind("batch", "batches", _plain_list, _plain, _loose)
