"""The `sutler` command, also `kubectl sutler`.

A command group is a module with a typer app, and an entry in GROUPS. The module is imported only when its command
runs, so that `sutler --help` imports none.
"""

import importlib
import os
import sys
import traceback
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from sutler.cli.exit_codes import EXIT_CODES, ExitCode
from sutler.cli.output import print_error, print_line
from sutler.errors import SutlerError


class Group(NamedTuple):
    """A command group: its module, the text in `sutler --help`, and the name of the typer app in the module."""

    module: str
    summary: str
    app: str = "app"

    def load(self) -> typer.Typer:
        app: typer.Typer = getattr(importlib.import_module(self.module), self.app)
        return app


GROUPS = {
    "explain": Group(
        "sutler.cli.explain.cli", "Show which pull secrets an image gets, which keys the kubelet tries, and why."
    ),
    "registry": Group("sutler.cli.registry.cli", "Add, import, list, check and remove registries."),
    "token": Group("sutler.cli.token.cli", "List and refresh tokens of cloud registries."),
    "doctor": Group("sutler.cli.check.cli", "Find Pods that cannot pull images, and other problems.", "doctor_app"),
    "check-install": Group(
        "sutler.cli.check.cli", "Check an installation, with a Pod created as a dry run.", "install_app"
    ),
    "certs": Group("sutler.cli.certs.cli", "Show and rotate the webhook's CA and certificate."),
    "volumes": Group("sutler.cli.volumes.cli", "List volumes, find orphans, adopt images, restore deleted ones."),
    "snapshots": Group("sutler.cli.snapshots.cli", "List and show the snapshots of claims."),
    "pools": Group("sutler.cli.pools", "List, create and delete Ceph pools through the REST API."),
    "images": Group("sutler.cli.images.cli", "List, create, resize and delete RBD images through the REST API."),
    "version": Group("sutler.cli.version.cli", "Show the versions of the command, the cluster and Sutler in it."),
    "support-dump": Group("sutler.cli.support.cli", "Collect objects and logs for a bug report, without secrets."),
}


class _Commands(TyperGroup):
    """Imports the module of a command when the command is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(GROUPS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        del ctx
        return typer.main.get_command(GROUPS[cmd_name].load()) if cmd_name in GROUPS else None

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


def _print_version(requested: bool) -> None:
    if requested:
        version = importlib.import_module("importlib.metadata").version("sutler")
        print_line(f"sutler {version}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Sutler injects image pull secrets into Pods and provisions Ceph RBD volumes.

    Passwords are read from standard input or a prompt, never from the command line, and are never printed.
    """


def main() -> None:
    """Entry point: prints an expected error as one line, and exits with its status."""
    try:
        app()
    except SutlerError as error:
        print_error(f"sutler: {error}")
        sys.exit(getattr(error, "exit_code", ExitCode.PROBLEM))
    except Exception as error:
        # A defect in Sutler. Its text may quote anything, even a credential, so it is shown on request only.
        if os.environ.get("SUTLER_DEBUG"):
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        print_error(
            f"sutler: this is a defect in Sutler: {type(error).__name__} in {place.filename}:{place.lineno}"
            " (SUTLER_DEBUG=1 shows the traceback; check it for secrets before you share it)"
        )
        sys.exit(ExitCode.PROBLEM)
