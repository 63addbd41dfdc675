"""What `export` writes is what the view says: in every format, in little memory, whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import pty
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psutil
import psycopg
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from etl.cli import main
from tests.integration.test_queries import Life, life
from tests.logins import as_owner, as_reader

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["life"]

REPOSITORY: Final = Path(__file__).parents[2]
PROGRAM: Final = (sys.executable, "-m", "etl")
MANY: Final = 200_000

COLUMNS: Final = {
    "place": "integer",
    "told": "text",
    "counted": "bigint",
    "small": "smallint",
    "exact": "numeric",
    "priced": "numeric(12, 4)",
    "huge": "numeric",
    "share": "double precision",
    "real": "real",
    "is_so": "boolean",
    "at": "timestamptz",
    "clock": "timestamp",
    "day": "date",
    "lasted": "interval",
    "reasons": "text[]",
    "counts": "bigint[]",
    "prices": "numeric[]",
    "extra": "jsonb",
}
AS_TEXT: Final = ("lasted", "extra")
"""Columns that Parquet has as Postgres writes them."""

NASTY: Final = (
    "",
    " ",
    "NULL",
    "\\N",
    "\\.",
    'two\nlines, a "quote", a\ttab and a\r',
    "é 😀 👩\u200d🚀 \u202eright to left",
    "\u2028\u2029\x85\x0b\x1c",
    "=1+1",
    "{a,b}",
    "<script>",
    "x" * 3_000,
)


def _everything(rows: Sequence[Sequence[Any]], uri: str) -> None:
    """Make a view with a column of every kind, over these rows."""
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    with psycopg.connect(as_owner(uri)) as connection:
        connection.execute("DROP TABLE IF EXISTS ledger.everything CASCADE")
        connection.execute(f"CREATE TABLE ledger.everything ({columns})".encode())
        marks = ", ".join(["%s"] * len(COLUMNS))
        with connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO ledger.everything VALUES ({marks})".encode(), rows)
        connection.execute("CREATE VIEW analytics.everything AS SELECT * FROM ledger.everything")


def _export(uri: str, file: Path, *arguments: str) -> int:
    return main(["export", *arguments, "--output", str(file)], {"DATABASE_URL": as_reader(uri)})


def _or_none(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def _words() -> st.SearchStrategy[str]:
    # Postgres holds neither NUL nor half a surrogate pair.
    letters = st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")
    return st.sampled_from(NASTY) | st.text(letters, max_size=12)


_MOMENTS: Final = st.datetimes(datetime(1900, 1, 1), datetime(2999, 1, 1))  # noqa: DTZ001 - the zone is put to some.
_BIG: Final = st.integers(-(2**63), 2**63 - 1)
_PRICES: Final = st.decimals(-(10**7), 10**7, places=4)
_ROWS: Final = st.lists(
    st.tuples(
        _or_none(_words()),
        _or_none(_BIG),
        _or_none(st.integers(-(2**15), 2**15 - 1)),
        _or_none(st.decimals(-(10**12), 10**12, places=9)),
        _or_none(_PRICES),
        _or_none(st.integers(-(10**60), 10**60)),
        _or_none(st.floats(allow_nan=False, allow_infinity=False)),
        _or_none(st.floats(allow_nan=False, allow_infinity=False, width=32)),
        _or_none(st.booleans()),
        _or_none(_MOMENTS.map(lambda at: at.replace(tzinfo=UTC))),
        _or_none(_MOMENTS),
        _or_none(st.dates(date(1900, 1, 1), date(2999, 1, 1))),
        _or_none(st.timedeltas()),
        _or_none(st.lists(_or_none(_words()), max_size=3)),
        _or_none(st.lists(_or_none(_BIG), max_size=3)),
        _or_none(st.lists(_or_none(_PRICES), max_size=3)),
        _or_none(st.dictionaries(_words(), _words() | _BIG | st.none(), max_size=3).map(Jsonb)),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_ROWS)
def test_what_comes_back_from_each_format_is_what_the_view_says(
    database: str, tmp_path: Path, rows: list[tuple[Any, ...]]
) -> None:
    _everything([(place, *row) for place, row in enumerate(rows)], database)
    files = {form: tmp_path / f"everything.{form}" for form in ("csv", "jsonl", "parquet")}

    assert [_export(database, file, "everything") for file in files.values()] == [0, 0, 0]

    assert not _differing(database, files["csv"].read_bytes(), "FORMAT csv, HEADER")
    lines = files["jsonl"].read_text(encoding="utf-8")
    assert len(lines.splitlines()) == len(rows)
    assert not _differing(database, *_as_records(lines))
    with psycopg.connect(as_owner(database)) as connection:
        assert pq.read_table(files["parquet"]).to_pylist() == _told(connection)


def _differing(uri: str, body: bytes, options: str, column: str = "") -> list[tuple[Any, ...]]:
    """Read a file back into a table like the view's, and return what of either is not in the other."""
    with psycopg.connect(as_owner(uri)) as connection:
        connection.execute("CREATE TEMPORARY TABLE back (LIKE ledger.everything)")
        connection.execute("CREATE TEMPORARY TABLE record (body jsonb)")
        target = "record" if column else "back"
        with connection.cursor().copy(f"COPY {target} FROM STDIN ({options})".encode()) as copy:
            copy.write(body)
        connection.execute(
            "INSERT INTO back SELECT whole.* FROM record, jsonb_populate_record(NULL::back, body) AS whole"
        )
        query = "(SELECT * FROM {} EXCEPT ALL SELECT * FROM {})"
        both = query.format("back", "ledger.everything"), query.format("ledger.everything", "back")
        return connection.execute(" UNION ALL ".join(both).encode()).fetchall()


def _as_records(lines: str) -> tuple[bytes, str, str]:
    """Wrap lines of JSON so that Postgres reads each as one value whatever is in it."""
    quoted = (line.replace('"', '""') for line in lines.split("\n") if line)
    return "".join(f'"{line}"\n' for line in quoted).encode(), "FORMAT csv", "body"


def _told(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """Return what the view says, as Parquet is to have it."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET IntervalStyle = 'iso_8601'")
    cast = {"prices": "text[]", "real": "double precision", **dict.fromkeys(AS_TEXT, "text")}
    chosen = [f"{name}::{cast[name]}" if name in cast else name for name in COLUMNS]
    found = connection.execute(f"SELECT {', '.join(chosen)} FROM analytics.everything".encode())
    return [dict(zip(COLUMNS, row, strict=True)) for row in found]


def test_types_in_parquet_are_as_exact_as_in_the_database(database: str, tmp_path: Path) -> None:
    row = (1, "a", 2**63 - 1, 3, Decimal("1.25"), Decimal(7), 10**60, 0.5, 0.5, True)
    moments = (datetime(2026, 11, 20, 12, 0, 0, 1, UTC), datetime(2026, 11, 20), date(2026, 11, 20), None)  # noqa: DTZ001 - a plain one.
    _everything([(*row, *moments, ["x"], [1], [Decimal("1.5")], Jsonb({"a": 10**30}))], database)
    file = tmp_path / "everything.parquet"

    assert _export(database, file, "everything") == 0

    schema = {field.name: str(field.type) for field in pq.read_schema(file)}
    assert schema == {
        "place": "int32",
        "told": "string",
        "counted": "int64",
        "small": "int16",
        "exact": "decimal128(3, 2)",
        "priced": "decimal128(5, 4)",
        "huge": "decimal256(61, 0)",
        "share": "double",
        "real": "float",
        "is_so": "bool",
        "at": "timestamp[us, tz=UTC]",
        "clock": "timestamp[us]",
        "day": "date32[day]",
        "lasted": "string",
        "reasons": "list<element: string>",
        "counts": "list<element: int64>",
        "prices": "list<element: string>",
        "extra": "string",
    }
    assert json.loads(pq.read_table(file).to_pylist()[0]["extra"]) == {"a": 10**30}


def test_what_is_no_number_stays_what_it_is_in_every_format(database: str, tmp_path: Path) -> None:
    rest = [None] * (len(COLUMNS) - 5)
    _everything([(1, "", 1, 1, word, *rest) for word in ("NaN", "Infinity")], database)

    for form in ("csv", "jsonl", "parquet"):
        assert _export(database, tmp_path / f"x.{form}", "everything", "--columns", "exact") == 0
    assert (tmp_path / "x.csv").read_text() == "exact\nNaN\nInfinity\n"
    assert (tmp_path / "x.jsonl").read_text() == '{"exact":"NaN"}\n{"exact":"Infinity"}\n'
    assert pq.read_table(tmp_path / "x.parquet")["exact"].to_pylist() == ["NaN", "Infinity"]


def test_csv_tells_nothing_from_an_empty_text(database: str, tmp_path: Path) -> None:
    empty = [None] * (len(COLUMNS) - 2)
    _everything([(1, "", *empty), (2, None, *empty)], database)

    assert _export(database, tmp_path / "x.csv", "everything", "--columns", "place,told") == 0
    assert (tmp_path / "x.csv").read_text() == 'place,told\n1,""\n2,\n'


@pytest.mark.parametrize("name", ["PGCLIENTENCODING", "PGDATESTYLE", "PGTZ"])
def test_no_setting_of_the_environment_changes_what_is_written(life: Life, name: str) -> None:
    strange = {"PGCLIENTENCODING": "LATIN1", "PGDATESTYLE": "German", "PGTZ": "Asia/Kathmandu"}
    life.project.upload(name="Füße 😀", images=1)
    life.hour(1)
    plain, odd = (_written(life.uri, **given) for given in ({}, {name: strange[name]}))

    assert plain == odd
    assert "Füße 😀" in plain


def _written(uri: str, *arguments: str, **environ: str) -> str:
    command = [*PROGRAM, "export", *(arguments or ("batch_change",))]
    return subprocess.run(
        command, env=_environ(uri, **environ), capture_output=True, check=True
    ).stdout.decode()


def _environ(uri: str, **environ: str) -> dict[str, str]:
    path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "PYTHONWARNINGS": "error"}
    return {**path, "DATABASE_URL": as_reader(uri), **environ}


# Which part


def _rows(uri: str, *arguments: str) -> list[dict[str, str]]:
    return list(csv.DictReader(_written(uri, *arguments).splitlines()))


def test_columns_come_in_the_order_that_is_asked_for(life: Life) -> None:
    rows = _rows(life.uri, "batch", "--columns", "images, batch_id")
    assert [list(row) for row in rows] == [["images", "batch_id"]] * 6


def test_only_the_projects_that_are_named_are_written(life: Life) -> None:
    assert len(_rows(life.uri, "batch", "--project", "acme/cars")) == 6
    assert len(_rows(life.uri, "batch_as_of", "--at", "2026-11-21", "--project", "acme/cars")) == 6


def test_rows_are_chosen_by_when_they_are_about(life: Life) -> None:
    for hour in (1, 2, 26, 50):
        life.project.upload(images=hour)
        life.hour(hour)
    moments = {hour: life.at(hour).isoformat() for hour in (1, 2, 26, 50)}

    def told(*arguments: str) -> list[int]:
        rows = _rows(life.uri, "batch_change", "--columns", "images_delta,observed_at", *arguments)
        return sorted(int(row["images_delta"]) for row in rows if int(row["images_delta"]) in moments)

    assert told() == [1, 2, 26, 50]
    assert told("--from", moments[2]) == [2, 26, 50]
    assert told("--from", moments[2], "--to", moments[50]) == [2, 26]
    days = [life.at(hour).date().isoformat() for hour in (0, 24)]
    written = _rows(life.uri, "project_daily", "--from", moments[1], "--to", moments[26])
    assert [row["day"] for row in written] == days
    states = _rows(life.uri, "batch_history", "--to", moments[1])
    assert len(states) == 6


def test_a_function_is_told_the_times(life: Life) -> None:
    life.project.upload(images=5)
    life.hour(1)
    begin, end = life.at(0.5).isoformat(), life.at(1.5).isoformat()

    known = [
        [row for row in _rows(life.uri, "batch_as_of", "--at", at) if row["knowledge"] != "unknown"]
        for at in (begin, end)
    ]
    assert list(map(len, known)) == [6, 7]
    (differing,) = _rows(life.uri, "batch_diff", "--from", begin, "--to", end)
    assert differing["images_delta"] == "5"


PERIODS: Final = ("project_period", "--argument", "grain=week", "--argument", "time_zone=Asia/Kolkata")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_function_is_told_its_other_arguments_by_their_names(life: Life, tmp_path: Path, form: str) -> None:
    output = tmp_path / f"weeks.{form}"
    _written(
        life.uri, *PERIODS, "--columns", "workspace,project,images,period_start", "--output", str(output)
    )
    written = _parsed(output)
    with psycopg.connect(life.uri) as connection:
        asked = connection.execute(
            "SELECT workspace, project, images FROM analytics.project_period('week', 'Asia/Kolkata')"
        ).fetchall()
    assert len(written) == len(asked) > 2
    told = [(row["workspace"], row["project"], int(row["images"])) for row in written]
    assert sorted(told) == sorted(asked)


def _parsed(file: Path) -> list[dict[str, Any]]:
    if file.suffix == ".parquet":
        read: list[dict[str, Any]] = pq.read_table(file).to_pylist()
        return read
    lines = file.read_text("utf-8").splitlines()
    return list(csv.DictReader(lines)) if file.suffix == ".csv" else [json.loads(line) for line in lines]


def test_the_span_and_the_project_are_told_to_the_function_beside_its_other_arguments(life: Life) -> None:
    begin, end = life.at(0).isoformat(), life.at(0.5).isoformat()
    weeks = _rows(life.uri, *PERIODS, "--from", begin, "--to", end, "--project", "acme/cars")
    assert [(row["workspace"], row["project"]) for row in weeks] == [("acme", "cars")]
    # A week of Kolkata begins on Monday at its own midnight.
    assert weeks[0]["period_start"].endswith("18:30:00+00")
    assert len(_rows(life.uri, *PERIODS, "--to", end)) == len(
        _rows(life.uri, *PERIODS, "--from", begin, "--to", end)
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("project_period",), 2, "give --argument grain=... and --argument time_zone=..."),
        ((*PERIODS[:3],), 2, "give --argument time_zone=..."),
        ((*PERIODS, "--argument", "zone=UTC"), 2, "it takes grain and time_zone"),
        ((*PERIODS, "--argument", "from_at=now"), 2, "give --from T"),
        ((*PERIODS, "--argument", "of_project=cars"), 2, "give --project W/P"),
        ((*PERIODS, "--argument", "grain"), 2, "name=value"),
        ((*PERIODS, "--argument", "grain=fortnight"), 2, "fortnight"),
        ((*PERIODS, "--argument", "time_zone=Europe/Atlantis", "--format", "jsonl"), 2, "Europe/Atlantis"),
        ((*PERIODS, "--argument", "grain='); DROP TABLE x; --"), 2, "DROP TABLE x"),
        (("batch", "--argument", "grain=week"), 2, "leave out --argument"),
        (("batch_as_of", "--at", "now", "--argument", "grain=week"), 2, "leave out --argument"),
        (("btach",), 3, "did you mean batch"),
        (("analytics.batch_chnage",), 3, "did you mean batch_change"),
        (("batch", "--columns", "imagse"), 3, "did you mean images"),
        (("batch", "--project", "acme/crs"), 3, "did you mean acme/cars"),
        (("batch", "--at", "now"), 2, "batch_as_of"),
        (("batch_as_of",), 2, "--at T"),
        (("batch_diff", "--from", "-1d"), 2, "--to T"),
        (("batch_diff", "--from", "-1d", "--to", "now", "--at", "now"), 2, "leave out --at"),
        (("batch", "--from", "-1d"), 2, "no time of its own"),
        (("batch", "--output", "."), 2, "Is a directory"),
        (("batch", "--output", "missing/batch.csv"), 2, "No such file or directory"),
        (("batch; DROP TABLE x",), 3, "has no view"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_remedy(
    life: Life, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    command = [*PROGRAM, "export", *arguments]
    done = subprocess.run(
        command, env=_environ(life.uri), capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "remedy: " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_a_schema_is_told_how_to_get_one(
    empty_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "batch"], {"DATABASE_URL": empty_database}) == 3
    assert "batchledger migrate" in capsys.readouterr().err


def test_parquet_without_its_library_is_refused_with_the_remedy(life: Life, tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError('not here')", encoding="utf-8")
    environ = _environ(life.uri, PYTHONPATH=f"{tmp_path}:{REPOSITORY}")
    command = [*PROGRAM, "export", "batch", "--output", str(tmp_path / "x.parquet")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "batchledger[parquet]" in done.stderr
    assert not list(tmp_path.glob("*x.parquet*"))


# Whole or not at all


@pytest.fixture(scope="module")
def many(new_database: Any) -> Any:
    """Give a database with a view of many rows, and one whose rows come slowly."""
    with new_database() as uri:
        with psycopg.connect(as_owner(uri), autocommit=True) as connection:
            for statement in MANY_ROWS:
                connection.execute(statement)
        yield uri


MANY_ROWS: Final[tuple[LiteralString, ...]] = (
    """
    CREATE FUNCTION ledger.slowly(n bigint) RETURNS bigint LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(0.001); RETURN n; END'
    """,
    """
    CREATE VIEW analytics.slow AS
    SELECT ledger.slowly(n) AS n, repeat('x', 1000) AS told
    FROM generate_series(1, 1000000) AS n
    """,
    """
    CREATE TABLE ledger.many AS
    SELECT
        n,
        'batch ' || n AS name,
        now() AS at,
        repeat(md5(n::text), 8) AS told,
        ARRAY[n::text] AS tags,
        jsonb_build_object('n', n) AS extra
    FROM generate_series(1, 200000) AS n
    """,
    "ANALYZE ledger.many",
    "CREATE VIEW analytics.many AS SELECT * FROM ledger.many",
)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_many_rows_take_no_more_memory_than_few(many: str, tmp_path: Path, form: str) -> None:
    file = tmp_path / f"many.{form}"
    few = _peak_bytes(many, tmp_path / f"few.{form}", "batch")

    whole = _peak_bytes(many, file, "many")

    assert file.stat().st_size > MANY * (16 if form == "parquet" else 256)
    groups = 180 if form == "parquet" else 16
    assert whole - few < groups * 2**20, f"{(whole - few) / 2**20:.0f} MB"


def _peak_bytes(uri: str, file: Path, view: str) -> int:
    command = [*PROGRAM, "export", view, "--output", str(file)]
    with subprocess.Popen(command, env=_environ(uri), stderr=subprocess.DEVNULL) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, psutil.Process(process.pid).memory_info().rss)
            time.sleep(0.01)
    assert process.returncode == 0
    return peak


@pytest.mark.parametrize(
    ("form", "number"),
    [
        ("csv", signal.SIGKILL),
        ("jsonl", signal.SIGKILL),
        ("parquet", signal.SIGKILL),
        ("csv", signal.SIGTERM),
        ("parquet", signal.SIGTERM),
        ("jsonl", signal.SIGINT),
    ],
)
def test_an_end_in_the_middle_leaves_the_file_as_it_was(
    many: str, tmp_path: Path, form: str, number: signal.Signals
) -> None:
    file = tmp_path / f"slow.{form}"
    file.write_text("of yesterday", encoding="utf-8")
    command = [*PROGRAM, "export", "slow", "--output", str(file)]
    with subprocess.Popen(command, env=_environ(many), stderr=subprocess.DEVNULL) as process:
        _until(lambda: any(part.stat().st_size for part in tmp_path.glob(".slow.*.part")) or form != "csv")
        _until(lambda: list(tmp_path.glob(".slow.*.part")))
        time.sleep(0.5)
        process.send_signal(number)
    assert process.returncode != 0
    assert file.read_text() == "of yesterday"
    left = list(tmp_path.glob(".slow.*.part"))
    assert len(left) == (1 if number is signal.SIGKILL else 0)


def _until(is_so: Any) -> None:
    end_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_a_database_that_goes_away_leaves_no_file_and_is_told(many: str, tmp_path: Path) -> None:
    for form in ("csv", "jsonl", "parquet"):
        command = [*PROGRAM, "export", "slow", "--output", str(tmp_path / f"slow.{form}")]
        process = subprocess.Popen(command, env=_environ(many), stderr=subprocess.PIPE, text=True)
        with psycopg.connect(as_owner(many), autocommit=True) as connection:
            _until(lambda: list(tmp_path.glob(".slow.*.part")))
            time.sleep(0.5)
            _end_readers(connection)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1
        assert said.startswith("error: the database at ")
        assert list(tmp_path.iterdir()) == []


def _end_readers(connection: psycopg.Connection) -> None:
    with psycopg.connect(connection.info.dsn.replace("user=owner", "user=postgres")) as superuser:
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE usename = 'analyst' AND datname = current_database()"
        )


def test_a_file_is_as_readable_as_the_user_has_files_and_a_link_to_it_stays_one(
    life: Life, tmp_path: Path
) -> None:
    file, link = tmp_path / "batch.csv", tmp_path / "latest.csv"
    link.symlink_to(file)
    before = os.umask(0o027)
    try:
        assert _export(life.uri, link, "batch") == 0
    finally:
        os.umask(before)
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_pipe_with_a_name_is_written_to_and_stays_one(life: Life, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [*PROGRAM, "export", "batch", "--output", str(pipe)]
    with subprocess.Popen(command, env=_environ(life.uri), stderr=subprocess.DEVNULL) as process:
        assert len(pipe.read_text().splitlines()) == 7
    assert process.returncode == 0
    assert pipe.is_fifo()


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_reader_that_stops_early_is_no_error_to_talk_of(many: str, form: str) -> None:
    command = [*PROGRAM, "export", "many", "--format", form]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=_environ(many), stdout=pipe, stderr=pipe) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_parquet_goes_through_a_pipe(life: Life, tmp_path: Path) -> None:
    file = tmp_path / "batch.parquet"
    with file.open("wb") as to:
        command = [*PROGRAM, "export", "batch", "--format", "parquet"]
        subprocess.run(command, env=_environ(life.uri), stdout=to, check=True)
    assert pq.read_table(file).num_rows == 6


# Whoever looks


def test_a_terminal_sees_how_far_it_is_and_a_file_how_many_rows_it_has(many: str, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [*PROGRAM, "export", "many", "--output", str(tmp_path / "many.csv")]
    environ = _environ(many, TERM="xterm", COLUMNS="100")
    with subprocess.Popen(command, env=environ, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        while chunk := _read(ours):
            said += chunk
    os.close(ours)
    assert process.returncode == 0
    assert b"of about 200,000" in said
    assert said.decode().endswith("many.csv: 200000 rows of analytics.many\r\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the other side is closed.
        return b""
