"""`sutler token`: tokens of cloud registries."""

# ruff: noqa: PLC0415 - the Kubernetes client comes with these imports, and --help does without it

from typing import Annotated

import typer

from sutler.cli.exit_codes import ExitCode
from sutler.cli.options import ClusterOptions, CommandGroup, Output, with_cluster
from sutler.cli.output import Format, print_result
from sutler.cli.token import render

app = CommandGroup("List and refresh the tokens of cloud registries.")


@app.command("list")
@with_cluster
def list_tokens(
    cluster: ClusterOptions,
    *,
    output: Output = Format.TABLE,
) -> None:
    """List the tokens with their sources, their states and their ends.

    The exit status is 1 if one of them is not good.
    """
    from sutler.cli.token.fetch import tokens

    found, now = cluster.run(tokens)
    rows = [render.as_json(each) for each in found]
    print_result(rows, output, render.as_text(rows, now))
    if any(row["ready"] == "False" for row in rows):
        raise typer.Exit(ExitCode.PROBLEM)


@app.command()
@with_cluster
def refresh(
    cluster: ClusterOptions,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="RegistryTokens, as `sutler token list` names them.")
    ],
    *,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="Time to wait for the new token.", min=0)] = 60.0,
    output: Output = Format.TABLE,
) -> None:
    """Get a new token now, and wait for it.

    Sutler changes the Secret in place, and the copies follow. Use this command after you correct a role or a trust
    policy, or if a token has leaked. The old token is good until its end: clouds cannot revoke it.
    """
    from sutler.cli.token.fetch import refresh as ask

    done = cluster.run(lambda client: ask(client, names, timeout))
    print_result([each.as_json() for each in done], output, "\n".join(each.as_text() for each in done))
    if not all(each.refreshed for each in done):
        raise typer.Exit(ExitCode.PROBLEM)
