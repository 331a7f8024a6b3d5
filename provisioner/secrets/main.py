"""`python -m provisioner secrets`: the parts put together."""

from typing import Annotated

from pydantic import Field

from provisioner.secrets.controller import SecretsController
from sutler import probes
from sutler.kube.client import connect
from sutler.kube.events import EventRecorder
from sutler.kube.lease import Elector
from sutler.runtime import guard
from sutler.settings import ProcessSettings, Seconds

COMPONENT = "sutler-secrets"


class SecretsSettings(ProcessSettings):
    """Copies pull secrets into the namespaces that mappings select, and keeps them so."""

    lease_duration: Seconds = 15.0
    """Seconds without a sign of life after which another replica takes over."""

    renew_deadline: Seconds = 10.0
    """Seconds without a renewal after which this replica stops writing; less than the lease's duration."""

    retry_period: Seconds = 2.0
    """Seconds between two tries to get or renew the lease."""

    workers: Annotated[int, Field(ge=1, le=256)] = 8
    """Copies written at a time. More rotate a secret faster and load the API server more."""


async def main(settings: SecretsSettings) -> None:
    async with connect(settings.kubeconfig, settings.context, component=COMPONENT) as client:
        elector = Elector(
            client,
            COMPONENT,
            settings.namespace,
            duration=settings.lease_duration,
            renew_deadline=settings.renew_deadline,
            retry_period=settings.retry_period,
        )
        events = EventRecorder(client, COMPONENT)
        controller = SecretsController(
            client, client.fenced(elector.check), events, namespace=settings.namespace, workers=settings.workers
        )
        await guard(
            ("probes", probes.serve(settings.probe_host, settings.probe_port, {"secrets": controller.ready})),
            ("events", events.run()),
            *((f"watch of {name}", reflector.run()) for name, reflector in controller.reflectors.items()),
            ("lease", elector.run(controller.lead)),
        )
