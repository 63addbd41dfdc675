"""The tables of batches: each as last believed, and every change of it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, PrimaryKeyConstraint, Table
from sqlalchemy.dialects.postgresql import JSONB

from etl.tables.columns import absence, at, batch_id, count, in_order_of_time, words
from etl.tables.schema import metadata

batch: Final = Table(
    "batch",
    metadata,
    Column("project_id", Integer, nullable=False, comment="The project that the batch belongs to."),
    batch_id("Roboflow's id of the batch."),
    words("name", "Name, neither unique nor stable; NULL: the source does not say."),
    count("images", "Images still in the batch, not yet assigned to a job; 0 once it is gone."),
    count(
        "num_jobs",
        "Annotation jobs made from it; NULL: the source does not say; 0 once it is gone.",
        nullable=True,
    ),
    at(
        "uploaded_at",
        "When it was uploaded, floored to the microsecond; NULL: the source does not say.",
        nullable=True,
    ),
    at("first_seen_at", "observed_at of the observation that first saw it."),
    at("changed_at", "observed_at of the observation that made its last change."),
    *absence(),
    Column("extra", JSONB, comment="Every field that we do not know by name; NULL: none."),
    PrimaryKeyConstraint("project_id", "batch_id"),
    CheckConstraint("images >= 0 AND num_jobs >= 0", name="counts"),
    CheckConstraint("(missing_since IS NULL) = (present_at IS NULL)", name="missing"),
    CheckConstraint(
        "gone_at IS NULL OR (missing_since IS NOT NULL AND images = 0 AND num_jobs = 0)", name="gone"
    ),
    comment="One batch, as last believed.",
    postgresql_with={"fillfactor": 90},  # Room for new versions in place: no index is touched by a change.
)


batch_change: Final = Table(
    "batch_change",
    metadata,
    Column("project_id", Integer, nullable=False, comment="The project that the batch belongs to."),
    batch_id("Roboflow's id of the batch."),
    Column("observation_id", BigInteger, nullable=False, comment="The observation that saw the change."),
    words(
        "kind",
        "entered, changed, renamed (only the name), left (confirmed absent), returned.",
        nullable=False,
    ),
    words("name", "Name after the change; NULL: the source does not say."),
    count("images", "Images after the change; 0 when it left."),
    count("num_jobs", "Jobs after the change; NULL: the source does not say; 0 when it left.", nullable=True),
    at("uploaded_at", "Upload time after the change; NULL: the source does not say.", nullable=True),
    count("images_delta", "Images after less images before."),
    count("num_jobs_delta", "Jobs after less jobs before, NULL counted as 0."),
    at("observed_at", "When the change was seen: it fell in (changed_after, observed_at]."),
    at(
        "changed_after",
        "Last observation of the state before; NULL: the project had never been observed.",
        nullable=True,
    ),
    PrimaryKeyConstraint("project_id", "batch_id", "observation_id"),
    CheckConstraint("kind IN ('entered', 'changed', 'renamed', 'left', 'returned')", name="kind"),
    in_order_of_time("batch_change"),
    CheckConstraint("changed_after < observed_at", name="interval"),
    comment="One change of one batch against the last trusted observation of it. Append-only.",
)
