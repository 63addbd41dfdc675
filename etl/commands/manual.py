"""What `--help` says beyond one line: examples of every command, and the exit codes."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

EXIT_CODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "done, and everything read is trusted",
        1: "error: database, network, schema; the books do not balance",
        2: "wrong settings, arguments or key",
        3: "no such project, batch or view",
        4: "some projects failed or are suspect, the others are done; or a promised age is broken",
        130: "ended by SIGINT (143 by SIGTERM) after the projects in hand",
    }
)

EXAMPLES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = MappingProxyType(
    {
        "check": (
            ("batchledger check", "is everything ready for a run?"),
            ("batchledger check --json", "the same for a script"),
        ),
        "confirm": (
            ("batchledger confirm acme/cars", "show what the list lacks; ask on a terminal"),
            ("batchledger confirm acme/cars --yes", "accept that it is gone"),
            ("batchledger confirm acme/cars --json", "what would be accepted, for a script"),
        ),
        "demo": (
            ("batchledger demo", "two weeks of a simulated workspace in ten seconds"),
            ("batchledger demo --keep /tmp/ledger", "keep its database to look around in"),
        ),
        "dictionary": (
            ("batchledger dictionary", "which views and functions there are"),
            ("batchledger dictionary batch", "unit, meaning and example of each column"),
            ("batchledger dictionary --json", "all of it for a script"),
            ("batchledger dictionary --markdown", "all of it as a page"),
        ),
        "diff": (
            ("batchledger diff acme/cars yesterday now", "what changed since yesterday's midnight"),
            ("batchledger diff acme/cars -7d", "what changed in the last seven days"),
            ("batchledger diff acme/cars 2026-11-01 2026-11-20", "between two instants"),
            ("batchledger diff acme/cars -1d --json", "the same for a script"),
        ),
        "explain": (
            ("batchledger explain acme/cars/6VN0fFQIWU1E24bDjGsN", "where does its number come from?"),
            ("batchledger explain acme/cars/6VN0fFQIWU1E24bDjGsN --at -7d", "and a week ago?"),
            ("batchledger explain acme/cars/PcGsX8EdoLMyxsLHpPlF --job", "of an annotation job"),
        ),
        "export": (
            ("batchledger export batch", "every batch, as CSV"),
            ("batchledger export batch_change --from -7d --output week.parquet", "a week of changes"),
            ("batchledger export project_daily --columns project,day,images", "a part of it"),
            ("batchledger export batch_as_of --at -30d --format jsonl", "as it stood then"),
            ("batchledger export project_as_of --at 2026-01-31 --output then.csv", "the totals then"),
        ),
        "history": (
            ("batchledger history acme/cars", "a project, day by day"),
            ("batchledger history acme/cars --from -14d --to -7d", "a week of it, with its gaps"),
            ("batchledger history acme/cars/6VN0fFQIWU1E24bDjGsN", "a batch, state by state"),
            ("batchledger history acme/cars --at 2026-11-20T12:00Z", "its batches as they stood then"),
            ("batchledger history acme/cars --at now", "its batches as last known"),
        ),
        "migrate": (
            ("batchledger migrate", "bring the schema to this program's revision"),
            ("batchledger migrate --sql", "print the SQL for a database administrator"),
            ("batchledger migrate --roles", "also set up the roles that write and read"),
            ("batchledger migrate --roles --sql", "print the SQL of the roles alone"),
        ),
        "projects": (
            ("batchledger projects", "what the keys can see, and what is followed"),
            ("batchledger projects --json", "the same for a script"),
        ),
        "forget": (
            ("batchledger forget --yes", "after jobs.people was made stricter"),
            ("batchledger forget --yes --json", "the outcome for a script"),
        ),
        "prune": (
            ("batchledger prune", "fold and drop what [retention] says is old"),
            ("batchledger prune --dry-run", "how much would that be?"),
            ("batchledger prune --json", "the outcome for a script"),
        ),
        "psql": (
            ("batchledger psql", "SQL by hand"),
            ('batchledger psql -- -c "SELECT * FROM analytics.project"', "one statement"),
        ),
        "replay": (
            ("batchledger replay", "does the archive give the same ledger?"),
            ("batchledger replay --project acme/cars", "of this project"),
            ("batchledger replay --project acme/cars --keep", "and leave it in schema ledger_replay"),
            ("batchledger replay --json", "the outcome for a script"),
        ),
        "run": (("batchledger run", "run on the schedule of the settings until SIGTERM"),),
        "simulate": (
            ("batchledger simulate", "a workspace that changes every five seconds"),
            ("batchledger simulate --projects 50 --batches 200", "a larger one"),
        ),
        "status": (
            ("batchledger status", "how fresh is what?"),
            ("batchledger status --json", "the same for a monitor, which may also go by the exit code"),
        ),
        "sync": (
            ("batchledger sync", "every followed project"),
            ("batchledger sync --project acme/cars --project acme/drones", "these two"),
            ("batchledger sync --dry-run", "what would be written?"),
            ("batchledger sync --json", "the outcome for a script"),
        ),
        "verify": (
            ("batchledger verify", "do the books balance?"),
            ("batchledger verify --json", "the same for a monitor"),
        ),
        "web": (
            ("batchledger web", "the page of the daemon, for those who use cron"),
            ("batchledger web --port 0", "on a free port, which it names"),
        ),
    }
)


def examples(command: str) -> str:
    """Return the examples of a command, laid out for the end of its help."""
    rows = EXAMPLES[command]
    width = max(len(line) for line, _ in rows)
    return _verbatim("Examples:", *(f"  {line:{width}}  {what}" for line, what in rows))


def exit_codes() -> str:
    """Return the exit codes, laid out for the end of the help."""
    return _verbatim("Exit codes:", *(f"  {code:<4} {what}" for code, what in EXIT_CODES.items()))


def _verbatim(*lines: str) -> str:
    """Keep the lines as they are: to the formatter of help, a backspace says so."""
    return "\n".join(("\b", *lines))
