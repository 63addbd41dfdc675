"""What the simulated world consists of: batches and jobs as frozen values, and its clock in milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Batch(msgspec.Struct, frozen=True, gc=False):
    """One image batch; `images` is what has not yet been assigned to a job."""

    id: str
    name: str
    images: int
    num_jobs: int
    uploaded_ms: int


class Job(msgspec.Struct, frozen=True, gc=False):
    """One annotation job, made from the batch `batch_id`; `approved` and `rejected` are of the annotated."""

    id: str
    name: str
    batch_id: str
    status: str
    num_images: int
    annotated: int
    approved: int
    rejected: int
    labeler: str
    reviewer: str
    created_ms: int

    @property
    def unannotated(self) -> int:
        """What is left to annotate; by definition the rest."""
        return self.num_images - self.annotated

    @property
    def unreviewed(self) -> int:
        """What is annotated and nobody has judged."""
        return self.annotated - self.approved - self.rejected


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970, floored: the precision that Roboflow has been seen to keep."""
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no time zone; write for example {at.isoformat()}Z")
    return (at - _EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    """The same moment as an aware UTC datetime."""
    return _EPOCH + ms * _MILLISECOND


def upload_name(ms: int) -> str:
    """The name that Roboflow gives to a batch whose uploader gave none."""
    at = from_ms(ms)
    half = "am" if at.hour < 12 else "pm"  # noqa: PLR2004 - noon.
    day = f"{at.month}/{at.day}/{at.year % 100:02}"
    return f"Uploaded on {day} at {at.hour % 12 or 12}:{at.minute:02} {half}"
