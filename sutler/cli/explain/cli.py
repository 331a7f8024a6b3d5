"""`sutler explain`: which pull secrets an image gets, which of their keys the kubelet tries, and why."""

from dataclasses import replace
from typing import Annotated

import typer

from sutler.cli.exit_codes import EXIT_CODES, ExitCode, UsageError
from sutler.cli.explain.explanation import Explanation, explain
from sutler.cli.explain.object_files import SUPPORTED, read_files
from sutler.cli.explain.render import as_json, as_text
from sutler.cli.options import ClusterOptions, CommandGroup, Output, namespace_option, with_cluster
from sutler.cli.output import Format, print_result
from sutler.cli.pods import ImageUse, PodReport

EXAMPLES = """\b
Examples:
  sutler explain registry.example.com/team/app:1.2 -n team-a
  kubectl get deployment web -o yaml | sutler explain -f -
  sutler explain quay.io/acme/app -f ~/.docker/config.json
  sutler explain -f mappings.yaml -f deployment.yaml -o json"""

app = CommandGroup()


@app.command(epilog=f"{EXAMPLES}\n\n{EXIT_CODES}")
@with_cluster
def command(
    cluster: ClusterOptions,
    *,
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGE", help="Images, as in a Pod's spec.", show_default=False),
    ] = None,
    namespace: Annotated[
        str | None, namespace_option("Namespace of Pods without one.  [default: the kubeconfig's, else default]")
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help=f"{SUPPORTED}, in YAML or JSON; - is standard input.",
            show_default=False,
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Show which pull secrets images get, which key of which Secret the kubelet tries, in which order, and why.

    A key or registry that nearly matches is shown with what to write instead. Examples are a trailing slash, :443, an
    upper-case host, index.docker.io/ORGANISATION, a tag, a glob in a path, and another path of the same registry.

    The images are those named on the command line, and those of the Pods, Deployments, Jobs and CronJobs in the files.

    If the files contain a mapping or a Secret, all mappings and Secrets come from the files, and no cluster is read.
    Secrets and docker configs that no mapping in the files uses count as pull secrets of the Pod. Without files, or if
    the files contain only Pods, mappings and Secrets come from the cluster.
    """
    found = explain_all(images or [], files or [], namespace, cluster)
    print_result([as_json(each) for each in found], output, "\n\n".join(map(as_text, found)))
    if any(each.problems for each in found):
        raise typer.Exit(ExitCode.PROBLEM)


def explain_all(
    images: list[str], files: list[str], namespace: str | None, cluster: ClusterOptions
) -> list[Explanation]:
    """Explanations of all images of the files, then of those named on the command line."""
    read = read_files(files, cluster.own_namespace)
    pods = [*read.pods, *(PodReport("", "", (ImageUse(image, ""),), tuple(read.unmapped)) for image in images)]
    if not any(pod.images for pod in pods):
        raise UsageError("there is no image to explain: name an image, or a file with a Pod by -f (see --help)")
    if not read.has_only_pods:
        pods = [_in_namespace(pod, namespace or "default") for pod in pods]
        return [each for pod in pods for each in explain(pod, read.view)]
    # This import brings the Kubernetes client, which explaining files does without.
    from sutler.cli.explain.fetch import read_view  # noqa: PLC0415

    pods = [_in_namespace(pod, namespace or cluster.current_namespace()) for pod in pods]
    view = cluster.run(lambda client: read_view(client, cluster.own_namespace, pods))
    return [each for pod in pods for each in explain(pod, view)]


def _in_namespace(pod: PodReport, namespace: str) -> PodReport:
    return pod if pod.namespace else replace(pod, namespace=namespace)
