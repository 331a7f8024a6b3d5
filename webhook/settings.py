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
    """Injects pull secrets into Pods."""

    host: str = "0.0.0.0"  # noqa: S104 - the API server is outside of the Pod
    """Address on which to serve admission requests."""

    port: Port = 8443
    """Port on which to serve admission requests."""

    url: str | None = None
    """URL by which the API server calls a webhook outside of the cluster, as in clientConfig.url of the webhook
    configuration. The certificate has its host name then. Default: the Service is called."""

    service_name: str = "sutler-webhook"
    """Name of the webhook's Service. The certificate has the name SERVICE.NAMESPACE.svc."""

    certificate_secret: str = "sutler-webhook-certificate"  # noqa: S105 - a name
    """Name of the Secret, in Sutler's own namespace, with the CA and the certificate. All replicas share it."""

    certificate_dir: Path | None = None
    """Directory with tls.crt and tls.key that another program maintains, such as cert-manager's mounted Secret.
    Sutler then issues no certificate and publishes no CA: the CA must be written into the webhook configuration."""

    certificate_interval: Seconds = 10.0
    """Seconds between two reads of the certificate. A new CA is published for at least this long before its use:
    all API servers of the cluster see it."""

    webhook_configuration: str = "sutler-webhook"
    """Name of the MutatingWebhookConfiguration in which to publish the CA."""

    quiet_seconds: Seconds | None = None
    """After SIGTERM, keep serving until no request has arrived for this many seconds. Default: 15, which covers the
    removal from the Service's endpoints; 1 with --url."""

    stop_seconds: Seconds = 45.0
    """After SIGTERM, stop after this many seconds even if requests still arrive. Must be less than the Pod's
    terminationGracePeriodSeconds."""

    excluded_namespaces: list[str] = Field(default=[*SYSTEM_NAMESPACES])
    """Namespaces, besides Sutler's own, in which the webhook skips all Pods."""

    @field_validator("url")
    @classmethod
    def _https(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme != "https" or not urlsplit(value).hostname):
            raise ValueError("must be https://HOST[:PORT]/mutate")
        return value

    @property
    def quiet(self) -> float:
        """Seconds without a request that end the drain."""
        return self.quiet_seconds or (_URL_QUIET if self.url else _SERVICE_QUIET)

    def certificate_names(self) -> tuple[list[str], list[str]]:
        """The DNS names and addresses by which API servers call the webhook."""
        host = urlsplit(self.url).hostname if self.url else None
        if host is None:
            return [f"{self.service_name}.{self.namespace}.svc"], []
        try:
            return [], [str(ipaddress.ip_address(host))]
        except ValueError:
            return [host], []
