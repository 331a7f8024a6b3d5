"""Settings of `python -m webhook`."""

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from sutler.registry.injection import SYSTEM_NAMESPACES
from sutler.settings import Port, ProcessSettings, Seconds

_SERVICE_QUIET = 15.0
_URL_QUIET = 1.0


class WebhookSettings(ProcessSettings):
    host: str = "0.0.0.0"  # noqa: S104 - the API server asks from outside of the Pod
    """Address on which admission requests are served."""

    port: Port = 8443
    """Port of the same."""

    url: str | None = None
    """Where the API server finds this webhook when it runs outside of the cluster, as in the webhook configuration's
    clientConfig.url. Its certificate is for this host then. Default: the Service."""

    service_name: str = "sutler-webhook"
    """The Service that leads to it. Its certificate is for SERVICE.NAMESPACE.svc."""

    certificate_secret: str = "sutler-webhook-certificate"  # noqa: S105 - a name
    """The Secret in Sutler's own namespace that holds its CA and certificate, shared by all replicas."""

    certificate_dir: Path | None = None
    """Directory with tls.crt and tls.key that somebody else keeps up to date, such as cert-manager's mounted Secret. No
    certificate is made then, and no CA published: whoever made it puts ca.crt into the webhook configuration."""

    certificate_interval: Seconds = 10.0
    """Between two looks at the certificate, wherever it is kept. So long, at least, a new CA is published before it is
    used: the time that all API servers of the cluster have to see it."""

    webhook_configuration: str = "sutler-webhook"
    """The MutatingWebhookConfiguration that its CA is published in."""

    quiet_seconds: Seconds | None = None
    """On SIGTERM it goes on answering until no request came for so long. Default: 15, the time that a Service takes to
    forget it; with --url 1."""

    stop_seconds: Seconds = 45.0
    """On SIGTERM it ends after so long even if requests keep coming. Less than terminationGracePeriodSeconds."""

    excluded_namespaces: list[str] = Field(default=[*SYSTEM_NAMESPACES])
    """Namespaces in which no Pod is ever touched, besides Sutler's own."""

    @field_validator("url")
    @classmethod
    def _https(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme != "https" or not urlsplit(value).hostname):
            raise ValueError("must be https://HOST[:PORT]/mutate")
        return value

    @property
    def quiet(self) -> float:
        return self.quiet_seconds or (_URL_QUIET if self.url else _SERVICE_QUIET)

    def certificate_names(self) -> tuple[list[str], list[str]]:
        """DNS names and addresses that the API server may call it by."""
        host = urlsplit(self.url).hostname if self.url else None
        if host is None:
            return [f"{self.service_name}.{self.namespace}.svc"], []
        try:
            return [], [str(ipaddress.ip_address(host))]
        except ValueError:
            return [host], []
