"""The commands: the only place where the parts meet."""

# Each command imports what it needs when it runs: Alembic, plotext, the simulator and the scheduler cost
# memory and up to a second, which `--help` and the hourly `sync` must not pay.

from __future__ import annotations

import os
import sys
from pathlib import Path  # noqa: TC003 - Typer reads the annotations.
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from etl import __version__
from etl.commands.arguments import Format, batch_of, complete_project, format_of, place_of, slug_of
from etl.commands.dispatch import dispatch
from etl.commands.instants import INSTANT
from etl.commands.manual import examples, exit_codes
from etl.commands.options import Json, Project, Projects  # noqa: TC001 - as Path.

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.commands.session import Session

# Plain help is the same on a terminal, in a pipe and in the documentation, and needs no import of Rich.
app: Final = typer.Typer(
    name="batchledger",
    help="A history that can be trusted of every Roboflow image batch, in your own Postgres.",
    epilog=exit_codes(),
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """
    Run one command.

    Args:
        argv: The arguments; those of the process unless given.
        environ: The environment; that of the process unless given.

    Returns:
        The exit code.
    """
    return dispatch(app, sys.argv[1:] if argv is None else argv, os.environ if environ is None else environ)


def _print_version(is_asked: bool) -> None:  # noqa: FBT001 - as Typer calls it.
    if is_asked:
        typer.echo(f"batchledger {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[  # Taken out before, so that it may stand anywhere; here for the help.
        bool, typer.Option("--debug", help="Show tracebacks. May stand after the command, too.")
    ] = False,
) -> None:
    """Keep what all commands have in common."""


@app.command(epilog=examples("sync"))
def sync(
    context: typer.Context,
    *,
    project: Annotated[
        list[str] | None,
        typer.Option(
            metavar="W/P", help="Read this project only; repeatable.", autocompletion=complete_project
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written; write nothing.")
    ] = False,
    json: Json = False,
) -> int:
    """Run once: read every project, write what changed."""
    from etl.commands import oneshot

    only = tuple(map(slug_of, project or ()))
    return oneshot.sync(_session(context), only, is_dry=dry_run, is_json=json)


@app.command(epilog=examples("run"))
def run(context: typer.Context) -> int:
    """Run on a schedule until SIGTERM or SIGINT."""
    from etl.commands import service

    return service.run(_session(context))


@app.command(epilog=examples("web"))
def web(
    context: typer.Context,
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of that of [web].")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port, instead of that of [web]; 0 picks a free one.")
    ] = None,
) -> int:
    """Serve the status page and metrics until SIGTERM or SIGINT."""
    from etl.commands import web as page

    return page.serve(_session(context), host, port)


@app.command(epilog=examples("check"))
def check(context: typer.Context, *, json: Json = False) -> int:
    """Check settings, keys and database; say what to do."""
    from etl.commands import checks
    from etl.commands.show import access

    session = _session(context)
    found = []
    for finding in checks.check(session.settings, session.environ, session.cwd):
        found.append(finding)
        if not json:
            access.finding(session.out, finding)
    if json:
        session.emit(found)
    return checks.exit_code(found)


@app.command(epilog=examples("migrate"))
def migrate(
    context: typer.Context,
    *,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL, or that of --roles; connect to nothing.")
    ] = False,
    roles: Annotated[
        bool, typer.Option("--roles", help="Then make a role that writes and one that reads, and grant.")
    ] = False,
    writer: Annotated[
        str, typer.Option(metavar="ROLE", help="With --roles: the one that writes.")
    ] = "batchledger_writer",
    reader: Annotated[
        str, typer.Option(metavar="ROLE", help="With --roles: the one that reads schema analytics.")
    ] = "batchledger_reader",
) -> int:
    """Bring the schema to the revision of this program."""
    from etl.commands import migration
    from etl.errors import SettingsError
    from etl.roles import Roles, named

    named_roles = named(writer, reader)
    if not roles and named_roles != Roles():
        raise SettingsError("--writer and --reader name the roles of --roles", remedy="give --roles as well")
    granted = named_roles if roles else None
    return migration.print_sql(granted) if sql else migration.run(_session(context), granted)


@app.command(epilog=examples("projects"))
def projects(context: typer.Context, *, json: Json = False) -> int:
    """List the projects that the keys can see."""
    from etl.commands import inventory, show
    from etl.commands.show import access

    session = _session(context)
    listed, problems = inventory.take(session.settings(), session.environ)
    if json:
        session.emit(listed)
    else:
        access.projects(session.out, listed)
    show.problems(session.err, problems)
    return inventory.exit_code(listed, problems)


@app.command(epilog=examples("status"))
def status(context: typer.Context, *, json: Json = False) -> int:
    """Say how fresh each project is, and what is open."""
    from etl.commands import look

    return look.status(_session(context), is_json=json)


@app.command(epilog=examples("history"))
def history(  # noqa: PLR0913 - one argument for each option.
    context: typer.Context,
    place: Annotated[
        str,
        typer.Argument(metavar="W/P[/BATCH]", autocompletion=complete_project, help="A project, or a batch."),
    ],
    *,
    at: Annotated[str | None, typer.Option(metavar="T", help=f"As it stood then: {INSTANT}.")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="T", help="What happened from then on.")
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="T", help="What happened until then.")] = None,
    json: Json = False,
) -> int:
    """Show the life of a project or of a batch."""
    from etl.commands import look

    return look.history(_session(context), *place_of(place), (at, from_, to), is_json=json)


@app.command(epilog=examples("diff"))
def diff(
    context: typer.Context,
    project: Project,
    t1: Annotated[str, typer.Argument(metavar="T1", help=f"{INSTANT}.")],
    t2: Annotated[str, typer.Argument(metavar="T2", help="A later one.")] = "now",
    *,
    json: Json = False,
) -> int:
    """Say what changed between two instants, totals included."""
    from etl.commands import look

    return look.diff(_session(context), slug_of(project), t1, t2, is_json=json)


@app.command(epilog=examples("explain"))
def explain(
    context: typer.Context,
    batch: Annotated[str, typer.Argument(metavar="W/P/BATCH", autocompletion=complete_project)],
    *,
    job: Annotated[bool, typer.Option("--job", help="It is the id of an annotation job.")] = False,
    at: Annotated[str, typer.Option(metavar="T", help="What was believed then.")] = "now",
    json: Json = False,
) -> int:
    """Trace the number of a batch, or of a job, to its run, observation and bytes."""
    from etl.commands import look

    return look.explain(_session(context), batch_of(batch), at, is_job=job, is_json=json)


@app.command(epilog=examples("export"))
def export(  # noqa: PLR0913 - one argument for each option.
    context: typer.Context,
    view: Annotated[str, typer.Argument(metavar="VIEW", help="A view or function of schema analytics.")],
    *,
    format_: Annotated[
        Format | None, typer.Option("--format", help="As the file's name ends, or csv, unless it is given.")
    ] = None,
    output: Annotated[str, typer.Option(metavar="FILE", help="Where to; - is standard output.")] = "-",
    project: Projects = None,
    columns: Annotated[str, typer.Option(metavar="A,B", help="These columns only, in this order.")] = "",
    at: Annotated[str | None, typer.Option(metavar="T", help=f"For a function: {INSTANT}.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="T", help="Rows from then on.")] = None,
    to: Annotated[str | None, typer.Option(metavar="T", help="Rows until then.")] = None,
    argument: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="What else a function is told; repeatable."),
    ] = None,
) -> int:
    """Write a view as CSV, JSON lines or Parquet."""
    from etl.commands import export as exporting

    wish = exporting.wish_of(view, columns, project or (), (at, from_, to), argument or ())
    return exporting.export(_session(context), wish, format_of(format_, output), output)


@app.command(epilog=examples("dictionary"))
def dictionary(
    context: typer.Context,
    view: Annotated[str, typer.Argument(metavar="VIEW", help="One of them, column by column.")] = "",
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as a page of documents.")] = False,
    json: Json = False,
) -> int:
    """Say what every view and column means."""
    from etl.commands import dictionary as meanings

    return meanings.show(_session(context), view, is_markdown=markdown, is_json=json)


@app.command(epilog=examples("verify"))
def verify(context: typer.Context, *, json: Json = False) -> int:
    """Check that the books balance; say what does not."""
    from etl.commands import look

    return look.verify(_session(context), is_json=json)


@app.command(epilog=examples("confirm"))
def confirm(
    context: typer.Context,
    project: Project,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Accept what is shown without asking.")] = False,
    json: Json = False,
) -> int:
    """Show what a project's list lacks, and accept that it is gone."""
    from etl.commands import confirm as confirmation

    return confirmation.confirm(_session(context), slug_of(project), is_agreed=yes, is_json=json)


@app.command(epilog=examples("prune"))
def prune(
    context: typer.Context,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be folded and dropped; write nothing.")
    ] = False,
    json: Json = False,
) -> int:
    """Fold uneventful readings, drop what is past keeping."""
    from etl.commands import prune as pruning

    return pruning.run(_session(context), is_dry=dry_run, is_json=json)


@app.command(epilog=examples("forget"))
def forget(
    context: typer.Context,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="It cannot be undone.")] = False,
    json: Json = False,
) -> int:
    """Erase who annotated and reviewed what."""
    from etl.commands import forget as forgetting

    return forgetting.run(_session(context), is_agreed=yes, is_json=json)


@app.command(epilog=examples("replay"))
def replay(
    context: typer.Context,
    *,
    project: Projects = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave what was rebuilt in schema ledger_replay.")
    ] = False,
    json: Json = False,
) -> int:
    """Rebuild the ledger from the archive, and compare."""
    from etl.commands import replay as replaying

    only = tuple(map(slug_of, project or ()))
    return replaying.replay(_session(context), only, is_kept=keep, is_json=json)


@app.command(
    epilog=examples("psql"), context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def psql(context: typer.Context) -> int:
    """Open psql on the ledger; what follows -- is for it."""
    from etl.commands import sqlshell

    session = _session(context)
    return sqlshell.run(session.settings(), session.environ, context.args)


@app.command(epilog=examples("simulate"))
def simulate(  # noqa: PLR0913 - one argument for each option.
    context: typer.Context,
    *,
    seed: Annotated[int, typer.Option(help="The same seed and sizes give the same workspace.")] = 0,
    projects: Annotated[int, typer.Option(min=0, help="How many projects.")] = 3,
    batches: Annotated[int, typer.Option(min=0, help="How many batches in each project.")] = 12,
    step_every: Annotated[
        float, typer.Option(min=0, help="Seconds between random events; 0 lets nothing happen.")
    ] = 5,
    etag: Annotated[bool, typer.Option("--etag", help="Answers carry an ETag.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 0,
    json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON with the URL and keys.")
    ] = False,
) -> int:
    """Serve a simulated Roboflow API, for trying out."""
    from etl.commands import simulation

    settings = simulation.settings(
        seed=seed,
        projects=projects,
        batches=batches,
        step_every_s=step_every,
        has_etags=etag,
        host=host,
        port=port,
    )
    return simulation.serve(_session(context), settings, is_json=json)


@app.command(epilog=examples("demo"))
def demo(
    context: typer.Context,
    *,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the database there; it must be a new folder.")
    ] = None,
) -> int:
    """Show it all at work on simulated data."""
    from etl.commands import demo as demonstration

    return demonstration.run(_session(context), keep)


def _session(context: typer.Context) -> Session:
    return cast("Session", context.obj)


if __name__ == "__main__":
    sys.exit(main())
