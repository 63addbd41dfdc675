"""What is followed: which projects, by name and pattern, whether their jobs, and what is promised of each."""

from __future__ import annotations

from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from etl.records import Slug

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class ReadJobs(StrEnum):
    """Of which projects the annotation jobs are read: those that have any, all, none."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class ProjectFilter:
    """
    Decides which projects are followed. An exclusion always wins, so the order of the rules means nothing.

    Args:
        rules: `workspace/project`, with `*` and `?` in either part; exclusions begin with `!`.
    """

    def __init__(self, rules: Iterable[str] = ()) -> None:
        rules = tuple(rules)
        self.has_rules = bool(rules)
        slugs = [(rule.startswith("!"), Slug(*rule.removeprefix("!").split("/"))) for rule in rules]
        self._excluded = tuple(slug for is_exclusion, slug in slugs if is_exclusion)
        self._included = tuple(slug for is_exclusion, slug in slugs if not is_exclusion) or (Slug("*", "*"),)

    def admits(self, slug: Slug) -> bool:
        """Say whether the project is followed."""
        return _matches(slug, self._included) and not _matches(slug, self._excluded)

    @property
    def named(self) -> tuple[Slug, ...]:
        """The projects that are followed by exact name, in the order written: each must be visible."""
        exact = (slug for slug in self._included if not {"*", "?"} & set(str(slug)))
        return tuple(dict.fromkeys(slug for slug in exact if self.admits(slug)))

    def unseen(self, visible: Collection[Slug]) -> tuple[Slug, ...]:
        """Return the projects that are followed by exact name and that no key can see."""
        return tuple(slug for slug in self.named if slug not in visible)


class Promise:
    """
    How old the numbers of a project may become before the promise of fresh ones is broken.

    Args:
        default_s: Seconds, for every project that no rule matches; None promises nothing.
        rules: `workspace/project`, with `*` and `?` in either part, and the seconds; the first that matches
            counts, and 0 promises nothing.
    """

    def __init__(self, default_s: int | None = None, rules: Iterable[tuple[str, int]] = ()) -> None:
        self._default_s = default_s
        self._rules = tuple((Slug(*pattern.split("/")), seconds) for pattern, seconds in rules)

    def of(self, slug: Slug) -> int | None:
        """Return the promised maximum age in seconds; None where nothing is promised."""
        matching = (seconds for pattern, seconds in self._rules if _matches(slug, (pattern,)))
        return next(matching, self._default_s) or None


def _matches(slug: Slug, patterns: Iterable[Slug]) -> bool:
    return any(
        fnmatchcase(slug.workspace, pattern.workspace) and fnmatchcase(slug.project, pattern.project)
        for pattern in patterns
    )
