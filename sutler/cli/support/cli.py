"""`sutler support-dump`."""

# ruff: noqa: PLC0415 - the Kubernetes client comes with these imports, and --help does without it

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sutler.cli.exit_codes import ExitCode
from sutler.cli.options import ClusterOptions, CommandGroup, Output, with_cluster
from sutler.cli.output import Format, print_result
from sutler.cli.support.archive import require_absent, write

if TYPE_CHECKING:
    from sutler.cli.support.support_dump import SupportDump

app = CommandGroup()


@app.command()
@with_cluster
def support_dump(
    cluster: ClusterOptions,
    path: Annotated[
        Path | None,
        typer.Argument(help="A new .tar.gz file, or a new folder.  [default: sutler-support-TIME.tar.gz, here]"),
    ] = None,
    *,
    logs: Annotated[bool, typer.Option(help="Include the logs of Sutler's Pods.")] = True,
    output: Output = Format.TABLE,
) -> None:
    """Collect what a bug report needs: objects, events, versions and logs, without secrets. Changes nothing.

    The dump holds Sutler's own objects, its Pods with their logs, its registration, its StorageClasses, claims and
    volumes. The command reads no Secret and no ConfigMap, and removes what looks like a credential from all text.
    Unknown annotations, variables and parameters keep their names only. The dump does contain names of namespaces,
    claims, images, registries and Secrets: check it before you share it.

    What you may not read is left out and listed; the exit status is then 3.
    """
    from sutler.cli.support.collector import SupportCollector

    now = datetime.now(UTC)
    path = path or Path(f"sutler-support-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    require_absent(path)
    dump = cluster.run(lambda client: SupportCollector(client, cluster.own_namespace, logs=logs).collect())
    write(path, dump.files, now.timestamp())
    shown = {"path": str(path), "files": sorted(dump.files), "unread": dump.unread, "absent": dump.absent}
    print_result(shown, output, _text(path, dump))
    if dump.unread:
        raise typer.Exit(ExitCode.CLUSTER)


def _text(path: Path, dump: "SupportDump") -> str:
    from sutler.cli.support.support_dump import CONTAINS

    lines = [f"Wrote {path} with {len(dump.files)} files."]
    lines += [f"Left out: {what}: {why}" for what, why in dump.unread.items()]
    return "\n".join([*lines, f"Check it before you share it: it contains {CONTAINS}."])
