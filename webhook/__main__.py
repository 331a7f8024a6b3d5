"""`python -m webhook`: the admission webhook of Sutler."""

import asyncio
import sys
from functools import partial

from certs.file_source import FileSource
from certs.managed_source import ManagedSource
from certs.source import CertificateSource
from sutler import probes, runtime
from sutler.kube.client import Client, connect
from webhook import workers
from webhook.handler import AdmissionHandler
from webhook.informers import WebhookInformers
from webhook.limits import ConcurrencyLimits
from webhook.server import drain, listening
from webhook.settings import WebhookSettings
from webhook.state import WebhookState
from webhook.team import Member


async def serve(settings: WebhookSettings, member: Member | None = None) -> None:
    """`member`: as one of several."""
    async with connect(settings.kubeconfig, settings.context, component="webhook") as client:
        state = WebhookState(excluded=frozenset((settings.namespace, *settings.excluded_namespaces)))
        watch = WebhookInformers(client, state)
        certificate = _certificate(client, settings)
        checks = {
            "certificate": certificate.ready,
            "state": watch.not_ready,
            "process": lambda: "stopping" if state.stopping else None,
        }
        admission = AdmissionHandler(state, ConcurrencyLimits().shared(settings.workers))
        shared = member is not None
        async with listening(admission, settings.host, settings.port, certificate.context, shared=shared):
            # Outlives the other tasks: while we stop, whoever asks is told so.
            probing = asyncio.create_task(
                member.answer(checks) if member else probes.serve(settings.probe_host, settings.probe_port, checks)
            )
            try:
                await runtime.guard(("probes", _watched(probing)), ("certificate", certificate.run()), *watch.tasks())
            except asyncio.CancelledError:
                last_request = member.last_request if member else float
                await drain(admission, settings.quiet, settings.stop_seconds, last_request)
                raise
            finally:
                probing.cancel()


def _certificate(client: Client, settings: WebhookSettings) -> CertificateSource:
    if settings.certificate_dir is not None:
        return FileSource(settings.certificate_dir, poll_interval=settings.certificate_interval)
    dns_names, ips = settings.certificate_names()
    return ManagedSource(
        client,
        namespace=settings.namespace,
        secret_name=settings.certificate_secret,
        dns_names=dns_names,
        ips=ips,
        webhook_configuration=settings.webhook_configuration,
        poll_interval=settings.certificate_interval,
    )


async def _watched(task: "asyncio.Task[None]") -> None:
    await asyncio.shield(task)


def main() -> int:
    settings = WebhookSettings.from_arguments(sys.argv[1:], program="python -m webhook")
    if settings.workers > 1:
        return workers.run(settings, serve)
    return runtime.run(partial(serve, settings), settings=settings)


if __name__ == "__main__":
    sys.exit(main())
