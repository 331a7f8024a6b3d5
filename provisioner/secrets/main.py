"""`python -m provisioner secrets`: the wiring."""

from provisioner.secrets.controller import SecretsController
from provisioner.secrets.settings import SecretsSettings
from sutler import probes
from sutler.kube.client import connect
from sutler.kube.events import EventRecorder
from sutler.kube.lease import Elector
from sutler.runtime import guard

COMPONENT = "sutler-secrets"


async def main(settings: SecretsSettings) -> None:
    async with connect(settings.kubeconfig, settings.context, component=COMPONENT) as client:
        elector = Elector.from_settings(client, COMPONENT, settings)
        events = EventRecorder(client, COMPONENT)
        controller = SecretsController(
            client,
            client.fenced(elector.check),
            events,
            namespace=settings.namespace,
            workers=settings.workers,
            unused_seconds=settings.unused_copies_after,
        )
        await guard(
            ("probes", probes.serve(settings.probe_host, settings.probe_port, {"secrets": controller.ready})),
            ("events", events.run()),
            *((f"watch of {name}", reflector.run()) for name, reflector in controller.reflectors.items()),
            ("watch of pods", controller.watch_pods()),
            ("lease", elector.run(controller.lead)),
        )
