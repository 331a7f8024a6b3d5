"""`sutler version`: the versions of the command, the cluster, Sutler's kinds and its processes."""

# ruff: noqa: PLC0415 - the Kubernetes client comes with these imports, and --help does without it

from importlib.metadata import version as package_version

from sutler.cli.exit_codes import ClusterError
from sutler.cli.options import ClusterOptions, CommandGroup, Output, with_cluster
from sutler.cli.output import Format, print_result
from sutler.cli.version.versions import ServerVersions, as_json, as_text

app = CommandGroup()


@app.command()
@with_cluster
def version(cluster: ClusterOptions, *, output: Output = Format.TABLE) -> None:
    """Show the versions of this command, the cluster, Sutler's kinds and its running processes.

    The images are those that the Pods run, not those that the Deployments name. Without a cluster the command shows its
    own version and why there is no other; the exit status is then 0, too.
    """
    from sutler.cli.version.fetch import read_versions

    client = package_version("sutler")
    server, problem = ServerVersions(), ""
    try:
        server = cluster.run(lambda connected: read_versions(connected, cluster.own_namespace))
    except ClusterError as error:
        problem = str(error)
    print_result(as_json(client, server, problem), output, as_text(client, server, problem))
