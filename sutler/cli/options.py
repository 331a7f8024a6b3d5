"""Options that commands share, and decorators that turn them into the object a command works with."""

import asyncio
import functools
import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from sutler.cli.exit_codes import EXIT_CODES, ClusterError
from sutler.cli.output import Format

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sutler.kube.client import Client

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")

Output = Annotated[Format, typer.Option("--output", "-o", help="Output format.")]
_Kubeconfig = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="Kubeconfig to use.  [default: KUBECONFIG, else ~/.kube/config]"),
]
_Context = Annotated[
    str | None, typer.Option(metavar="NAME", help="Context of the kubeconfig.  [default: its current context]")
]
_OwnNamespace = Annotated[
    str,
    typer.Option(
        "--sutler-namespace", metavar="NAME", envvar="SUTLER_NAMESPACE", help="Namespace that Sutler is installed in."
    ),
]
_OWN_NAMESPACE = "sutler-system"
_DEFAULT_NAMESPACE = "default"


def namespace_option(text: str) -> Any:
    return typer.Option("--namespace", "-n", metavar="NAME", help=text)


@dataclass(frozen=True)
class ClusterOptions:
    """Which cluster a command works on, and the namespace of Sutler in it."""

    kubeconfig: str | None
    context: str | None
    own_namespace: str = ""

    def run(self, work: "Callable[[Client], Awaitable[T]]") -> T:
        """Connects, awaits `work` with the client, and disconnects. Raises ClusterError."""
        return asyncio.run(self._run(work))

    async def _run(self, work: "Callable[[Client], Awaitable[T]]") -> T:
        # These imports take half a second; commands that read files only do without them.
        from sutler.kube import errors  # noqa: PLC0415
        from sutler.kube.client import connect  # noqa: PLC0415

        try:
            async with connect(self.kubeconfig, self.context, component="cli") as client:
                return await work(client)
        except errors.Forbidden as error:
            raise ClusterError(f"{error}. Request that permission, or use another --context") from error
        except errors.Unauthorized as error:
            raise ClusterError(
                f"the cluster rejects the kubeconfig's credentials: {error}. Log in again, or use another --context"
            ) from error
        except (errors.ConfigError, errors.Unreachable, errors.Unavailable, errors.TooManyRequests) as error:
            raise ClusterError(f"cannot access the cluster: {error}") from error

    def current_namespace(self) -> str:
        """The namespace of the context in use, as kubectl has it, else `default`.

        An unreadable kubeconfig counts as empty: connecting reports what is wrong with it.
        """
        from sutler.kube.config import find_source  # noqa: PLC0415 - as above

        source = find_source(self.kubeconfig, self.context)
        contexts: dict[str, Any] = {}
        current = source.context
        for path in filter(None, (source.kubeconfig or "").split(os.pathsep)):
            config = _read_kubeconfig(Path(path).expanduser())
            current = current or config.get("current-context")
            for entry in config.get("contexts") or []:
                contexts.setdefault(entry.get("name"), entry.get("context") or {})
        return str(contexts.get(current or "", {}).get("namespace") or _DEFAULT_NAMESPACE)


def _read_kubeconfig(path: Path) -> Mapping[str, Any]:
    import yaml  # noqa: PLC0415 - 20 ms that most commands do without

    try:
        config = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return config if isinstance(config, Mapping) else {}


class CommandGroup(typer.Typer):
    """Commands whose help ends with the exit status."""

    def __init__(self, text: str | None = None) -> None:
        """`text`: the help of the group; None for an app with a single command."""
        super().__init__(
            rich_markup_mode=None, add_completion=False, no_args_is_help=text is not None, help=text, epilog=EXIT_CODES
        )

    def command(self, name: str | None = None, *, epilog: str | None = EXIT_CODES, **kwargs: Any) -> "Callable[[F], F]":
        return super().command(name, epilog=epilog, **kwargs)


def option(name: str, annotation: object, default: object = None) -> inspect.Parameter:
    """A command's parameter that typer makes an option of."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def with_options(
    build: "Callable[..., object]", *options: inspect.Parameter
) -> "Callable[[Callable[..., None]], Callable[..., None]]":
    """A decorator that adds `options` to a command and passes `build(**options)` as its first argument."""

    def decorate(command: "Callable[..., None]") -> "Callable[..., None]":
        signature = inspect.signature(command)
        _, *own = signature.parameters.values()
        parameters = [*own, *options]

        @functools.wraps(command)
        def run(*built: object, **given: Any) -> None:
            command(build(**{each.name: given.pop(each.name) for each in options}), *built, **given)

        # Typer reads both.
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined] # any function may have one
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        return run

    return decorate


_KUBECONFIG = (option("kubeconfig", _Kubeconfig), option("context", _Context))

with_cluster = with_options(ClusterOptions, *_KUBECONFIG, option("own_namespace", _OwnNamespace, _OWN_NAMESPACE))
"""For commands that need a cluster and the namespace of Sutler in it."""
with_kubeconfig = with_options(ClusterOptions, *_KUBECONFIG)
"""For commands that need a cluster, and nothing of Sutler's own namespace."""
