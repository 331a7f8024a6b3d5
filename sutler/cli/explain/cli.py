"""`sutler explain`: which pull secrets an image gets, which of their keys the kubelet tries, and why."""

from dataclasses import replace
from typing import Annotated

import typer

from sutler.cli.explain.explanation import Explanation, explain
from sutler.cli.explain.object_files import UNDERSTOOD, read_files
from sutler.cli.explain.render import as_json, as_text
from sutler.cli.options import OWN_NAMESPACE, ClusterOptions, Context, Kubeconfig, Output, OwnNamespace
from sutler.cli.output import EXIT_CODES, ExitCode, Format, UsageError, emit
from sutler.cli.pods import ImageUse, PodReport

EXAMPLES = """\b
Examples:
  sutler explain registry.example.com/team/app:1.2 -n team-a
  kubectl get deployment web -o yaml | sutler explain -f -
  sutler explain quay.io/acme/app -f ~/.docker/config.json
  sutler explain -f mappings.yaml -f deployment.yaml -o json"""

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=f"{EXAMPLES}\n\n{EXIT_CODES}")
def command(
    *,
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGE", help="Images, as a Pod would name them.", show_default=False),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace",
            "-n",
            metavar="NAME",
            help="The Pod's namespace, where a file does not say.  [default: the kubeconfig's, else default]",
        ),
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help=f"{UNDERSTOOD}, in YAML or JSON; - is standard input.",
            show_default=False,
        ),
    ] = None,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    own_namespace: OwnNamespace = OWN_NAMESPACE,
) -> None:
    """Say which pull secrets images get, which key of which Secret the kubelet tries, in which order, and why.

    What is not tried though it nearly matches is shown with what to write instead: a slash at the end, :443, an
    upper-case host, index.docker.io/ORGANISATION, a tag, a glob in a path, another path of the same registry.

    The images are those of the Pods (Deployments, Jobs, CronJobs, …) in the files, and those named on the command line.

    Mappings and Secrets come from the files if there are any in them: then no cluster is asked. Secrets and docker
    configs that no mapping in the files uses count as pull secrets that the Pod names itself. With files that hold
    Pods only, or without files, mappings and Secrets are the cluster's.
    """
    found = list_explanations(images or [], files or [], namespace, ClusterOptions(kubeconfig, context, own_namespace))
    emit([as_json(each) for each in found], output, "\n\n".join(map(as_text, found)))
    if any(each.problems for each in found):
        raise typer.Exit(ExitCode.PROBLEM)


def list_explanations(
    images: list[str], files: list[str], namespace: str | None, cluster: ClusterOptions
) -> list[Explanation]:
    documents = read_files(files, cluster.own_namespace)
    pods = [*documents.pods, *(PodReport("", "", (ImageUse(image, ""),), tuple(documents.loose)) for image in images)]
    if not any(pod.images for pod in pods):
        raise UsageError("there is no image to explain: name one, or a file with a Pod by -f (--help shows how)")
    if not documents.pods_only:
        placed = [_placed(pod, namespace or "default") for pod in pods]
        return [each for pod in placed for each in explain(pod, documents.world)]
    # With these comes the Kubernetes client, which explaining files does not need.
    from sutler.cli.explain.fetch import gather  # noqa: PLC0415
    from sutler.cli.kubeconfig import current_namespace  # noqa: PLC0415

    where = namespace or current_namespace(cluster.kubeconfig, cluster.context)
    placed = [_placed(pod, where) for pod in pods]
    world = cluster.run(lambda client: gather(client, cluster.own_namespace, placed))
    return [each for pod in placed for each in explain(pod, world)]


def _placed(pod: PodReport, namespace: str) -> PodReport:
    return pod if pod.namespace else replace(pod, namespace=namespace)
