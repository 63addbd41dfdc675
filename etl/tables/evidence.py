"""The tables of what the source answered: bodies, records that could not be used, single look-ups."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from etl.tables.columns import at, count, identifier, words
from etl.tables.observations import observation
from etl.tables.schema import metadata

_SUBJECT: Final = "subject IN ('batch', 'job')"


def _subject() -> Column[Any]:
    return Column(
        "subject",
        Text,
        nullable=False,
        server_default=text("'batch'"),
        comment="What it is about: batch or job.",
    )


payload: Final = Table(
    "payload",
    metadata,
    Column("digest", LargeBinary, primary_key=True, comment="SHA-256 of the body as received."),
    Column("body", LargeBinary, comment="The body, compressed by zlib; NULL: dropped for its age."),
    count("body_bytes", "Size of the body before compression."),
    at("pruned_at", "When the body was dropped for its age; NULL: it is here.", nullable=True),
    CheckConstraint("(body IS NULL) = (pruned_at IS NOT NULL)", name="pruned"),
    comment="One distinct response body. Equal bodies are stored once.",
)


reject: Final = Table(
    "reject",
    metadata,
    Column(
        "observation_id",
        BigInteger,
        ForeignKey(observation.c.observation_id),
        nullable=False,
        comment="The observation that received it.",
    ),
    _subject(),
    count("position", "Place in the list, from 0."),
    identifier("record_id", "Id of the batch or job that it tells of; NULL: not readable.", nullable=True),
    words("reason", "Why it could not be used.", nullable=False),
    words("raw", "The record as received.", nullable=False),
    PrimaryKeyConstraint("observation_id", "subject", "position"),
    CheckConstraint(_SUBJECT, name="subject"),
    comment="One record of a list that could not be used.",
)


look_up: Final = Table(
    "look_up",
    metadata,
    Column(
        "observation_id",
        BigInteger,
        ForeignKey(observation.c.observation_id),
        nullable=False,
        comment="The observation that asked.",
    ),
    _subject(),
    identifier("record_id", "The batch or job that was asked for."),
    words(
        "outcome",
        "found, not_found, inconclusive (it told nothing), accepted (an operator took its absence for true).",
        nullable=False,
    ),
    Column("digest", LargeBinary, comment="SHA-256 of the body that answered; NULL: there was none."),
    PrimaryKeyConstraint("observation_id", "subject", "record_id"),
    CheckConstraint(_SUBJECT, name="subject"),
    CheckConstraint("outcome IN ('found', 'not_found', 'inconclusive', 'accepted')", name="outcome"),
    CheckConstraint("(digest IS NOT NULL) = (outcome = 'found')", name="digest"),
    comment="One batch or job that an observation asked for on its own, and what came of it.",
)
