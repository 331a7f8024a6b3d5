"""`python -m webhook`: the admission webhook of Sutler."""

import asyncio
import sys
from functools import partial

from certs.ca_bundle import BundlePublisher
from certs.file_source import FileSource
from certs.managed_source import ManagedSource
from certs.pki import ServerNames
from certs.source import CertificateSource
from certs.stores import SecretStore
from sutler import probes, runtime
from sutler.kube.client import Client, connect
from webhook.handler import AdmissionHandler
from webhook.informers import WebhookInformers
from webhook.server import drain, listening
from webhook.settings import WebhookSettings
from webhook.state import WebhookState


async def serve(settings: WebhookSettings) -> None:
    async with connect(settings.kubeconfig, settings.context, component="webhook") as client:
        state = WebhookState(excluded=frozenset((settings.namespace, *settings.excluded_namespaces)))
        informers = WebhookInformers(client, state)
        certificate = _certificate(client, settings)
        checks = {
            "certificate": certificate.ready,
            "state": informers.not_ready,
            "process": lambda: "stopping" if state.stopping else None,
        }
        admission = AdmissionHandler(state)
        async with listening(admission, settings.host, settings.port, certificate.context):
            # Outlives the other tasks: the probes are answered while the process stops.
            probing = asyncio.create_task(probes.serve(settings.probe_host, settings.probe_port, checks))
            try:
                await runtime.guard(
                    ("probes", _shielded(probing)), ("certificate", certificate.run()), *informers.tasks()
                )
            except asyncio.CancelledError:
                await drain(admission, settings.quiet, settings.stop_seconds)
                raise
            finally:
                probing.cancel()


def _certificate(client: Client, settings: WebhookSettings) -> CertificateSource:
    if settings.certificate_dir is not None:
        return FileSource(settings.certificate_dir, poll_interval=settings.certificate_interval)
    dns_names, addresses = settings.certificate_names()
    publisher = BundlePublisher(client, settings.webhook_configuration, settle_seconds=settings.certificate_interval)
    return ManagedSource(
        SecretStore(client, settings.namespace, settings.certificate_secret),
        ServerNames(tuple(dns_names), tuple(addresses)),
        is_trusted=publisher.is_trusted,
        publisher=publisher,
        poll_interval=settings.certificate_interval,
    )


async def _shielded(task: "asyncio.Task[None]") -> None:
    await asyncio.shield(task)


def main() -> int:
    settings = WebhookSettings.from_arguments(sys.argv[1:], program="python -m webhook")
    return runtime.run(partial(serve, settings), settings=settings)


if __name__ == "__main__":
    sys.exit(main())
