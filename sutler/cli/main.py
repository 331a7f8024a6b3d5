"""The `sutler` command, also `kubectl sutler`.

A command group is one module in sutler/cli with an `app`, and one line here. It is imported when it is called for:
`sutler --help` needs none of them.
"""

import importlib
import os
import sys
import traceback
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from sutler.cli.output import EXIT_CODES, ExitCode, complain, say
from sutler.errors import SutlerError


class Group(NamedTuple):
    module: str
    summary: str


GROUPS = {
    "explain": Group("sutler.cli.explain.cli", "Say which pull secrets an image gets, which key is tried, and why."),
    "registry": Group("sutler.cli.registry.cli", "Add, import, list, check and remove registries."),
    "doctor": Group("sutler.cli.doctor.cli", "Find Pods that can't pull, and what else is amiss. Changes nothing."),
    "check-install": Group("sutler.cli.check_install.cli", "Check an installation, by a Pod that is only tried."),
    "certs": Group("sutler.cli.certs.cli", "Show and rotate the webhook's CA and certificate."),
    "volumes": Group("sutler.cli.volumes.cli", "List volumes, find orphans, adopt images, bring them back."),
    "pools": Group("sutler.cli.pools", "List, make and delete Ceph pools, through the REST API."),
    "images": Group("sutler.cli.images.cli", "List, create, resize and delete RBD images, through the REST API."),
}


class _Commands(TyperGroup):
    """Knows its commands by name and imports them when they are called for."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(GROUPS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        del ctx
        if cmd_name not in GROUPS:
            return None
        return typer.main.get_command(importlib.import_module(GROUPS[cmd_name].module).app)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, group.summary) for name, group in GROUPS.items()])


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)


def _print_version(asked: bool) -> None:
    if asked:
        version = importlib.import_module("importlib.metadata").version("sutler")
        say(f"sutler {version}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Sutler gives every Pod the pull secrets that its images need, and every claim its Ceph RBD image.

    Passwords are read from standard input or a prompt, never from the command line, and are never printed.
    """


def main() -> None:
    """Entry point: every error that we expect is one line and an exit status."""
    try:
        app()
    except SutlerError as error:
        complain(f"sutler: {error}")
        sys.exit(getattr(error, "exit_code", ExitCode.PROBLEM))
    except Exception as error:
        # A defect of ours. Its text may quote anything, a credential too, so it is shown on demand only.
        if os.environ.get("SUTLER_DEBUG"):
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        complain(
            f"sutler: this is a defect in Sutler: {type(error).__name__} in {place.filename}:{place.lineno}"
            " (SUTLER_DEBUG=1 shows all of it; look for secrets in it before you pass it on)"
        )
        sys.exit(ExitCode.PROBLEM)
