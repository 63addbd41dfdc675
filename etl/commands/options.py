"""The arguments and options that several commands have, as Typer reads them."""

from __future__ import annotations

from typing import Annotated

import typer

from etl.commands.arguments import complete_project

Json = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys and UTC times.")]

Project = Annotated[str, typer.Argument(metavar="W/P", autocompletion=complete_project)]

Projects = Annotated[
    list[str] | None,
    typer.Option(metavar="W/P", help="This project only; repeatable.", autocompletion=complete_project),
]
