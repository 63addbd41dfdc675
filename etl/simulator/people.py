"""The invented people of a workspace: who labels, who reviews, who hands out the work."""

from __future__ import annotations

from typing import Final
from zlib import crc32

_LABELERS: Final = ("ada", "bruno", "chiara", "dmitri", "emeka", "farah", "goran", "hana", "ines", "jonas")
_REVIEWERS: Final = ("kofi", "lena", "mateo", "noor", "olga")
_MANAGERS: Final = ("priya", "quentin", "rosa")


def labeler_of(workspace: str, job_id: str) -> str:
    """Somebody of the workspace who labels, the same one for a job at every call."""
    return _one(_team(_LABELERS, workspace, 4), f"labeler of {job_id}")


def reviewer_of(workspace: str, job_id: str) -> str:
    """Somebody of the workspace who reviews, likewise."""
    return _one(_team(_REVIEWERS, workspace, 2), f"reviewer of {job_id}")


def manager_of(workspace: str) -> str:
    """Whoever makes the jobs of the workspace."""
    return _one(_MANAGERS, f"manager of {workspace}")


def _team(names: tuple[str, ...], workspace: str, size: int) -> tuple[str, ...]:
    """A few of the names, so that workspaces share some people and not all."""
    turn = crc32(workspace.encode()) % len(names)
    return (names[turn:] + names[:turn])[:size]


def _one(names: tuple[str, ...], what: str) -> str:
    return f"{names[crc32(what.encode()) % len(names)]}@example.com"
