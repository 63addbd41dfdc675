"""
Try each hand-made mutant of `table.toml` on a copy of the tree, with the fewest tests that should notice it.

`python tests/mutants/run.py [PART ...]` tries those only whose file or reason has such a part. It ends with 1
if one survives that has no explanation, or if one is explained away that a test notices.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

import msgspec
import psycopg
from psycopg import sql

ROOT: Final = Path(__file__).resolve().parents[2]
TABLE: Final = Path(__file__).with_name("table.toml")
sys.path.insert(0, str(ROOT))

from etl.embedded import server
from tests.conftest import HOMES, SETTINGS, TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WORKERS: Final = 2
_MEMORY: Final = Path("/dev/shm") if Path("/dev/shm").is_dir() else None  # noqa: S108 - no disk: thrice as fast.
_COPIED: Final = ("etl", "migrations", "tests", "pyproject.toml")
_STILLBORN: Final = re.compile(
    r"psycopg\.errors\.(SyntaxError|Undefined\w+|Ambiguous\w+|DatatypeMismatch|GroupingError|InvalidColumn\w+)"
)
"""What a database says of a statement that it does not even understand."""


_NOTICED: Final = re.compile(r"^(FAILED|ERROR) tests/", re.MULTILINE)
_IMPORTED: Final = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
"""What has been imported already cannot be rewritten, and need not be."""


class Mutant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    One deliberate mistake.

    `before` becomes `after` where it comes first behind `within`. `why` says what goes wrong by it, and
    `survives`, where it may, why no test can tell. `tests` are tried instead of those of its file.
    """

    before: str
    after: str
    why: str
    within: str = ""
    survives: str = ""
    tests: tuple[str, ...] = ()


class Mutated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file, the tests that should notice whatever is wrong with it, and its mutants."""

    file: str
    tests: tuple[str, ...]
    mutants: tuple[Mutant, ...]


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    EXPLAINED = "explained"
    SURVIVED = "SURVIVED"
    NOTICED = "EXPLAINED, BUT NOTICED"
    STILLBORN = "NO VALID MUTANT"


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of them."""

    files: tuple[Mutated, ...]


Case = tuple[Mutated, Mutant]


def mutated(text: str, mutant: Mutant) -> str:
    """
    Put a mistake into a text.

    Raises:
        LookupError: It is not there any more, or not in one place only.
    """
    head, anchor, tail = text.partition(mutant.within) if mutant.within else ("", "", text)
    if mutant.within and (not anchor or mutant.within in tail):
        raise LookupError(f"there has to be one {mutant.within!r}")
    if not tail.count(mutant.before) or (not mutant.within and tail.count(mutant.before) > 1):
        raise LookupError(f"there has to be one {mutant.before!r}")
    return head + anchor + tail.replace(mutant.before, mutant.after, 1)


def table() -> Table:
    """Read all mutants."""
    return msgspec.toml.decode(TABLE.read_bytes(), type=Table)


class Place:
    """A copy of the tree, and a Postgres of its own that goes on between the mutants."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._tree, homes = folder / "tree", folder / "homes"
        homes.mkdir()
        folder.chmod(0o711)
        homes.chmod(0o711)
        for name in _COPIED:
            _copy(ROOT / name, self._tree / name)
        own = {HOMES: str(homes), "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_PROFILE": "mutants"}
        self._said = folder / "said"
        self._forker = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "tests/mutants/forker.py"],
                cwd=self._tree,
                env={**os.environ, **own},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self._server = stack.enter_context(server(homes / "18", version=18, settings=SETTINGS))

    def fate(self, file: Mutated, mutant: Mutant) -> Fate:
        """Make the mistake, try the tests, and take it back."""
        path = self._tree / file.file
        original = path.read_text(encoding="utf-8")
        path.write_text(mutated(original, mutant), encoding="utf-8")
        is_schema = file.file.startswith("migrations")
        try:
            if is_schema:
                self._forget_template()
            return self._tried(mutant, mutant.tests or file.tests)
        finally:
            path.write_text(original, encoding="utf-8")
            if is_schema:
                self._forget_template()

    def _tried(self, mutant: Mutant, tests: Sequence[str]) -> Fate:
        code = self._exit_code(tests)
        if code == 0:
            return Fate.EXPLAINED if mutant.survives else Fate.SURVIVED
        said = self._said.read_text(encoding="utf-8")
        if code != 1 or not _NOTICED.search(said) or _STILLBORN.search(said):
            sys.stderr.write(said[-6000:])
            return Fate.STILLBORN
        return Fate.NOTICED if mutant.survives else Fate.KILLED

    def require_passing(self, test: str) -> None:
        """
        Refuse a test that fails without any mistake.

        Raises:
            RuntimeError: It does; what it said was written to stderr.
        """
        if self._exit_code((test,)):
            sys.stderr.write(self._said.read_text(encoding="utf-8")[-6000:])
            raise RuntimeError(f"{test}: fails without a mutant")

    def _exit_code(self, tests: Sequence[str]) -> int:
        # One version of Postgres is enough: mistakes are not a matter of its age.
        options = ("-x", "-q", "-p", "no:cacheprovider", "--timeout=90", "-k", "not [16", *_IMPORTED)
        pipe, answers = self._forker.stdin, self._forker.stdout
        if pipe is None or answers is None:
            raise TypeError("both were asked for")
        pipe.write(json.dumps((str(self._said), (*options, *tests))) + "\n")
        pipe.flush()
        return int(answers.readline())

    def _forget_template(self) -> None:
        """Let the next test migrate anew; the roles are made with it."""
        with psycopg.connect(self._server, autocommit=True) as connection:
            for name in (TEMPLATE, "unfinished"):
                connection.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
                )
            roles = connection.execute(
                "SELECT rolname FROM pg_roles WHERE NOT rolsuper AND rolname NOT LIKE 'pg\\_%'"
            )
            for (role,) in roles.fetchall():
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def fates(cases: Sequence[Case]) -> Iterator[tuple[Case, Fate]]:
    """Try them, several at a time, and tell of each as it is done."""
    with (
        tempfile.TemporaryDirectory(prefix="batchledger-mutants-", dir=_MEMORY) as folder,
        ExitStack() as stack,
    ):
        Path(folder).chmod(0o711)
        places: SimpleQueue[Place] = SimpleQueue()
        for nth in range(WORKERS):
            (own := Path(folder, str(nth))).mkdir()
            places.put(Place(own, stack))

        def tried(case: Case) -> tuple[Case, Fate]:
            place = places.get()
            try:
                return case, place.fate(*case)
            finally:
                places.put(place)

        def passing(test: str) -> None:
            place = places.get()
            try:
                place.require_passing(test)
            finally:
                places.put(place)

        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(passing, {test for file, mutant in cases for test in mutant.tests or file.tests}))
            yield from pool.map(tried, cases)


def main(wanted: Sequence[str]) -> int:
    """Try all, or those of the wanted files; print each that is not killed, and the scores."""
    cases = [
        (file, mutant)
        for file in table().files
        for mutant in file.mutants
        if not wanted or any(part in f"{file.file}: {mutant.why}" for part in wanted)
    ]
    scores: defaultdict[str, Counter[Fate]] = defaultdict(Counter)
    began = time.monotonic()
    for (file, mutant), fate in fates(cases):
        scores[file.file][fate] += 1
        if fate is not Fate.KILLED:
            print(f"{fate}: {file.file}: {mutant.why}\n  {mutant.before!r}\n  {mutant.after!r}", flush=True)
    for name, score in scores.items():
        print(f"{name:45}", *(f"{count} {fate}" for fate, count in score.items()), sep="  ")
    print(f"{sum(map(Counter.total, scores.values()))} mutants in {time.monotonic() - began:.0f} s")
    failed = {Fate.SURVIVED, Fate.NOTICED, Fate.STILLBORN}
    return int(any(failed & score.keys() for score in scores.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
