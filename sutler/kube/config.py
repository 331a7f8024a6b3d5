"""Configuration of the client: a kubeconfig or the Pod's service account, read by kubernetes-asyncio."""

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sutler.kube import slim_import as _library
from sutler.kube.errors import ConfigError
from sutler.text import shortened

library = _library.load()

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_NO_KEY = re.compile(r"Invalid kube-config file\. Expected (?:key|object with name) (\S+)")


@dataclass(frozen=True)
class ClientConfig:
    """The source of the configuration. Without `kubeconfig` it is the Pod's service account, mounted at `account`."""

    kubeconfig: str | None
    context: str | None = None
    account: Path = _ACCOUNT

    def __str__(self) -> str:
        if self.kubeconfig is None:
            return "the Pod's service account"
        return f"kubeconfig {self.kubeconfig}" + (f", context {self.context}" if self.context else "")


def find_source(
    kubeconfig: str | None, context: str | None, environ: Mapping[str, str] = os.environ, account: Path = _ACCOUNT
) -> ClientConfig:
    """Choose the given kubeconfig, else KUBECONFIG, else the Pod's service account, else ~/.kube/config."""
    if named := kubeconfig or environ.get("KUBECONFIG"):
        return ClientConfig(named, context)
    if environ.get("KUBERNETES_SERVICE_HOST") and (account / "token").exists():
        return ClientConfig(None, account=account)
    return ClientConfig(str(Path("~/.kube/config").expanduser()), context)


async def read(source: ClientConfig) -> Any:
    """Read kubernetes-asyncio's Configuration.

    Raises:
        ConfigError: naming the file and the problem, without the library's own text: that quotes whole users, with
            their tokens.
    """
    configuration = library.Configuration()
    # Python 3.13 rejects CAs without key identifiers. Clusters have such CAs, and kubectl accepts them.
    configuration.disable_strict_ssl_verification = True
    try:
        if source.kubeconfig is None:
            library.load_incluster_config(
                client_configuration=configuration,
                token_filename=str(source.account / "token"),
                cert_filename=str(source.account / "ca.crt"),
            )
        else:
            _require_file(source.kubeconfig)
            await library.load_kube_config(
                config_file=source.kubeconfig,
                context=source.context,
                client_configuration=configuration,
                persist_config=False,
            )
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - a broken file makes the library raise any error
        raise ConfigError(f"{source}: {_problem(error)}") from None
    if not str(configuration.host).startswith(("https://", "http://")) or configuration.host == "http://localhost":
        raise ConfigError(f"{source}: the cluster's server must be a URL such as https://10.0.0.1:6443")
    return configuration


def tls_files(configuration: Any) -> tuple[bytes | None, ...]:
    """The contents of the CA, certificate and key, for noticing a renewal."""
    paths = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    return tuple(Path(path).read_bytes() if path else None for path in paths)


def _require_file(kubeconfig: str) -> None:
    paths = [Path(path).expanduser() for path in kubeconfig.split(os.pathsep) if path]
    if not any(path.exists() for path in paths):
        raise ConfigError(f"kubeconfig {kubeconfig} does not exist; name another with --kubeconfig or KUBECONFIG")


def _problem(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        return f"not YAML{line}"
    if isinstance(error, ssl.SSLError):
        return f"a certificate or key in it is not PEM ({error.reason})"
    if isinstance(error, OSError):
        # The library writes certificates that are data in the kubeconfig into temporary files.
        no_folder = f"{error.strerror}: set TMPDIR to a folder that can be written, or name certificates by files"
        return f"{error.filename}: {error.strerror}" if error.filename else no_folder
    text = str(error)
    if missing := _NO_KEY.match(text):
        return f"{missing[1]!r} is missing in it"
    if text.startswith(("exec: ", "File does not exists: ", "Service ", "Token ", "Cert ")):
        return shortened(text)
    return f"not a kubeconfig ({type(error).__name__})"
