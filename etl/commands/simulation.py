"""`batchledger simulate`: the simulated API for trying things out, and how to use it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from etl.simulator import ServerSettings, SimulationSettings
from etl.simulator import serve as serve_world

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.commands.session import Session


def settings(  # noqa: PLR0913 - one argument for each option.
    *, seed: int, projects: int, batches: int, step_every_s: float, has_etags: bool, host: str, port: int
) -> SimulationSettings:
    """Turn the options of the command into settings of the simulator; its story begins now."""
    return SimulationSettings(
        seed=seed,
        projects=projects,
        batches_per_project=batches,
        start=datetime.now(UTC),
        step_every_s=step_every_s or None,
        server=ServerSettings(host=host, port=port, has_etags=has_etags, has_admin=True),
    )


def serve(session: Session, chosen: SimulationSettings, *, is_json: bool) -> int:
    """
    Serve until SIGINT or SIGTERM.

    Args:
        session: The invocation.
        chosen: The world and how it is served.
        is_json: Say where it is as one line of JSON.
    """
    serve_world(chosen, _print_json if is_json else _print_usage)
    session.say("The simulation has ended.")
    return 0


def _print_json(url: str, keys: Mapping[str, str]) -> None:
    sys.stdout.write(msgspec.json.encode({"url": url, "keys": keys}).decode() + "\n")
    sys.stdout.flush()


def _print_usage(url: str, keys: Mapping[str, str]) -> None:
    ((workspace, key),) = keys.items()
    sys.stdout.write(
        f"A simulated Roboflow API serves workspace {workspace} at {url} until Ctrl-C.\n"
        "In another terminal:\n\n"
        f"  export ROBOFLOW_API_URL={url} ROBOFLOW_API_KEY={key}\n"
        "  batchledger check\n"
        "  batchledger sync\n\n"
        "The embedded database is yours: name another folder in BATCHLEDGER_HOME to keep it apart.\n"
    )
    sys.stdout.flush()
