"""`sutler explain`: which pull secrets an image gets, which of their keys the kubelet tries, and why."""

from typing import TYPE_CHECKING, Annotated

import typer

from sutler.commands.explain.decide import Explanation, explain
from sutler.commands.explain.documents import UNDERSTOOD, Documents, read_files
from sutler.commands.explain.view import as_json, as_text
from sutler.commands.options import OWN_NAMESPACE, Cluster, Context, Kubeconfig, Output, OwnNamespace
from sutler.commands.pods import Pod, Use
from sutler.output import EXIT_CODES, Exit, Format, UsageError, emit

if TYPE_CHECKING:
    from sutler.commands.world import World
    from sutler.kube.client import Client

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
        str, typer.Option("--namespace", "-n", metavar="NAME", help="The Pod's namespace, where a file does not say.")
    ] = "default",
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
    found = list_explanations(images or [], files or [], namespace, Cluster(kubeconfig, context, own_namespace))
    emit([as_json(each) for each in found], output, "\n\n".join(map(as_text, found)))
    if any(each.problems for each in found):
        raise typer.Exit(Exit.PROBLEM)


def list_explanations(images: list[str], files: list[str], namespace: str, cluster: Cluster) -> list[Explanation]:
    documents = read_files(files, cluster.own_namespace, namespace)
    pods = [*documents.pods, *(_asked(image, namespace, documents) for image in images)]
    if not any(pod.images for pod in pods):
        raise UsageError("there is no image to explain: name one, or a file with a Pod by -f (--help shows how)")
    world = cluster.run(lambda client: _gather(client, cluster, pods)) if documents.pods_only else documents.world
    return [each for pod in pods for each in explain(pod, world)]


def _asked(image: str, namespace: str, documents: Documents) -> Pod:
    return Pod("", namespace, (Use(image, ""),), pull_secrets=tuple(documents.loose))


async def _gather(client: "Client", cluster: Cluster, pods: list[Pod]) -> "World":
    # It needs the Kubernetes client, which explaining files does not.
    from sutler.commands.explain.gather import gather  # noqa: PLC0415

    return await gather(client, cluster.own_namespace, pods)
