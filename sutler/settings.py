"""Settings of a process: command line flags over environment variables (SUTLER_…) over defaults."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsConfigDict

from sutler.log import Format

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_USAGE_ERROR = 2

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


def find_own_namespace() -> str:
    try:
        return _NAMESPACE_FILE.read_text().strip() or "sutler-system"
    except OSError:
        return os.environ.get("POD_NAMESPACE") or "sutler-system"


class ProcessSettings(BaseSettings):
    """Settings of all processes. A subclass adds its own fields, each with a docstring that --help shows."""

    model_config = SettingsConfigDict(
        env_prefix="SUTLER_",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
        cli_kebab_case=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        cli_implicit_flags=True,
        extra="forbid",
        frozen=True,
    )

    kubeconfig: str | None = None
    """Path of the kubeconfig. Default: KUBECONFIG, else the Pod's service account, else ~/.kube/config."""

    context: str | None = None
    """Context of the kubeconfig. Default: the current context."""

    namespace: str = Field(default_factory=find_own_namespace)
    """Sutler's own namespace. Default: the Pod's namespace, else POD_NAMESPACE, else sutler-system."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level of log records. debug logs every decision, but never a secret or the body of a response."""

    log_format: Format = "auto"
    """Format of log records: json, console, or auto, which is console if standard error is a terminal."""

    probe_host: str = "0.0.0.0"  # noqa: S104 - the kubelet is outside of the Pod
    """Address on which to serve /healthz, /readyz and /metrics."""

    probe_port: Port = 8080
    """Port on which to serve /healthz, /readyz and /metrics."""

    @classmethod
    def from_arguments(cls, arguments: Sequence[str], *, program: str) -> Self:
        """Parse the command line. --help exits with status 0; mistakes exit with status 2 and one line for each."""
        source = CliSettingsSource[type[Self]](cls, cli_prog_name=program, cli_parse_args=list(arguments))
        try:
            return cls(_cli_settings_source=source)  # type: ignore[call-arg]  # an argument of pydantic-settings
        except ValidationError as error:
            for problem in error.errors():
                flag = "--" + "-".join(str(part) for part in problem["loc"]).replace("_", "-")
                print(f"{program}: {flag}: {problem['msg']}, not {problem['input']!r}", file=sys.stderr)  # noqa: T201 - no log yet
            sys.exit(_USAGE_ERROR)


class LeaderElectionSettings(ProcessSettings):
    """Settings of processes of which one replica works at a time: the leader, which holds the Lease."""

    lease_duration: Seconds = 15.0
    """Seconds after which another replica takes over when the leader stops renewing its lease."""

    renew_deadline: Seconds = 10.0
    """Seconds after the last renewal at which the leader stops working. Must be less than the lease duration."""

    retry_period: Seconds = 2.0
    """Seconds between two attempts to acquire or renew the lease."""
