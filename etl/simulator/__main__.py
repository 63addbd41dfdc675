"""`python -m etl.simulator`: the simulated Roboflow API in a process of its own."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from etl.simulator.process import SimulationSettings, serve
from etl.simulator.server import ServerSettings
from etl.simulator.world import FIRST_WORKSPACE, START

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(add_completion=False)


@app.command()
def simulate(  # noqa: PLR0913 - one argument for each option.
    *,
    seed: Annotated[int, typer.Option(help="The same seed and sizes give the same world.")] = 0,
    workspaces: Annotated[int, typer.Option(min=1, help="How many workspaces.")] = 1,
    projects: Annotated[int, typer.Option(min=0, help="How many projects in each workspace.")] = 3,
    batches: Annotated[int, typer.Option(min=0, help="How many batches in each project.")] = 12,
    start: Annotated[datetime, typer.Option(help="No batch of the start is younger (UTC).")] = START,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 picks a free one.")] = 0,
    etag: Annotated[bool, typer.Option("--etag", help="Answers carry an ETag.")] = False,
    warm: Annotated[bool, typer.Option("--warm", help="Render every list before it is asked for.")] = False,
    key: Annotated[
        list[str] | None, typer.Option(help="KEY for the first workspace, or WORKSPACE=KEY; repeatable.")
    ] = None,
    step_every: Annotated[
        float | None, typer.Option(min=0.001, help="Let random events happen each so many seconds.")
    ] = None,
) -> None:
    """Serve a simulated Roboflow API; once it is ready, one line of JSON with its URL and keys is printed."""
    server = ServerSettings(host, port, _keys(key or []), has_etags=etag, has_admin=True, is_warm=warm)
    serve(
        SimulationSettings(
            seed=seed,
            workspaces=workspaces,
            projects=projects,
            batches_per_project=batches,
            start=start.replace(tzinfo=UTC),
            step_every_s=step_every,
            server=server,
        ),
        _print_ready,
    )


def _keys(given: list[str]) -> dict[str, str]:
    """Keys by workspace; one without a workspace is the first one's."""
    named = (one if "=" in one else f"{FIRST_WORKSPACE}={one}" for one in given)
    return dict(one.split("=", 1) for one in named)


def _print_ready(url: str, keys: Mapping[str, str]) -> None:
    sys.stdout.write(msgspec.json.encode({"url": url, "keys": keys}).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    app()
