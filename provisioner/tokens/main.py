"""`python -m provisioner tokens`: the parts put together."""

import os
from datetime import UTC, datetime

from provisioner.tokens.cluster_identities import ClusterIdentities
from provisioner.tokens.controller import TokensController
from provisioner.tokens.credential_cache import CredentialCache
from provisioner.tokens.http_client import HttpClient
from provisioner.tokens.plugin_runner import PluginRunner
from provisioner.tokens.providers.context import Endpoints, FetchContext
from provisioner.tokens.providers.fetch import fetch_credential
from provisioner.tokens.secret_writer import SecretWriter
from provisioner.tokens.settings import TokensSettings
from provisioner.tokens.status_reporter import TokenStatusReporter
from sutler import probes
from sutler.kube.client import Client, connect
from sutler.kube.events import EventRecorder
from sutler.kube.lease import Elector
from sutler.runtime import guard

COMPONENT = "sutler-tokens"


async def main(settings: TokensSettings) -> None:
    async with (
        connect(settings.kubeconfig, settings.context, component=COMPONENT) as client,
        HttpClient.opened(os.environ) as http,
    ):
        elector = Elector.from_settings(client, COMPONENT, settings)
        events = EventRecorder(client, COMPONENT)
        fenced = client.fenced(elector.check)
        context = _context(settings, client, http)
        controller = TokensController(
            client,
            CredentialCache(lambda source: fetch_credential(context, source)),
            SecretWriter(fenced, settings.namespace),
            TokenStatusReporter(fenced, events),
            policy=settings.policy,
            workers=settings.workers,
        )
        await guard(
            ("probes", probes.serve(settings.probe_host, settings.probe_port, {"tokens": controller.ready})),
            ("events", events.run()),
            *((f"watch of {name}", reflector.run()) for name, reflector in controller.reflectors.items()),
            ("lease", elector.run(controller.lead)),
        )


def _context(settings: TokensSettings, client: Client, http: HttpClient) -> FetchContext:
    identities = ClusterIdentities(client, settings.namespace)
    runner = PluginRunner(settings.plugin_folder, settings.plugin_environment, os.environ)
    return FetchContext(
        send=http.send,
        now=lambda: datetime.now(UTC),
        secret=identities.secret,
        account_token=identities.account_token,
        run_plugin=runner.run,
        environment=os.environ,
        projected_tokens=settings.projected_tokens,
        endpoints=Endpoints(settings.endpoint_urls),
    )
