"""Options that commands share, and the cluster that they mean."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from sutler.cli.output import ExitCode, Format
from sutler.errors import SutlerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sutler.kube.client import Client

T = TypeVar("T")

Output = Annotated[Format, typer.Option("--output", "-o", help="How to print the result.")]
Kubeconfig = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="Kubeconfig to use.  [default: KUBECONFIG, else ~/.kube/config]"),
]
Context = Annotated[
    str | None, typer.Option(metavar="NAME", help="Context of the kubeconfig.  [default: its current one]")
]
OwnNamespace = Annotated[
    str,
    typer.Option("--sutler-namespace", metavar="NAME", envvar="SUTLER_NAMESPACE", help="Where Sutler is installed."),
]
OWN_NAMESPACE = "sutler-system"


class ClusterError(SutlerError):
    """The cluster is away, or closed to us."""

    exit_code = ExitCode.CLUSTER


@dataclass(frozen=True)
class ClusterOptions:
    """Which cluster, and where Sutler is in it."""

    kubeconfig: str | None
    context: str | None
    own_namespace: str

    def run(self, work: "Callable[[Client], Awaitable[T]]") -> T:
        """Connect, work, disconnect."""
        return asyncio.run(self._run(work))

    async def _run(self, work: "Callable[[Client], Awaitable[T]]") -> T:
        # Half a second of imports, which nobody who stays with files should wait for.
        from sutler.kube import errors  # noqa: PLC0415
        from sutler.kube.client import connect  # noqa: PLC0415

        try:
            async with connect(self.kubeconfig, self.context, component="cli") as client:
                return await work(client)
        except errors.Forbidden as error:
            raise ClusterError(f"{error}. Ask for that right, or use another --context") from error
        except errors.Unauthorized as error:
            raise ClusterError(
                f"the cluster does not know us: {error}. Log in again, or use another --context"
            ) from error
        except (errors.ConfigError, errors.Unreachable, errors.Unavailable, errors.TooManyRequests) as error:
            raise ClusterError(f"the cluster can't be asked: {error}") from error
