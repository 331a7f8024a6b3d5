"""`python -m provisioner api`: creates the parts and runs them."""

import datetime as dt
from contextlib import AsyncExitStack
from pathlib import Path

from certs.managed_source import ManagedSource, trusted_after
from certs.pki import ServerNames
from certs.stores import CertificateStore, DirectoryStore, SecretStore
from provisioner.api import application, audit
from provisioner.api.backend import Backend
from provisioner.api.ceph_health import CephHealth
from provisioner.api.dispatch import Dispatcher
from provisioner.api.endpoints.images import ImageEndpoints
from provisioner.api.endpoints.operations import OperationEndpoints
from provisioner.api.endpoints.pools import PoolEndpoints
from provisioner.api.endpoints.snapshots import SnapshotEndpoints
from provisioner.api.endpoints.status import StatusEndpoints
from provisioner.api.endpoints.trash import TrashEndpoints
from provisioner.api.kubernetes_auth import KubernetesAuth
from provisioner.api.settings import ApiSettings
from provisioner.api.token_file import TokenFile
from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.connection import ClusterSettings
from sutler import probes
from sutler.kube.client import Client, connect
from sutler.runtime import guard

COMPONENT = "sutler-api"
_CA_KNOWN_AFTER = dt.timedelta(days=1)
"""How long a new CA is published beside the old one before it signs: clients have to fetch it meanwhile."""
CERTIFICATE_SECRET = "sutler-api-certificate"  # noqa: S105 - the name of a Secret


async def main(settings: ApiSettings) -> None:
    audit.configure(settings.log_format)
    images, pools = _cluster(settings, settings.ceph_user), None
    if settings.pools_user is not None:
        pools = images if settings.pools_user == settings.ceph_user else _cluster(settings, settings.pools_user)
    backend, health = Backend(images, pools), CephHealth(images)
    async with AsyncExitStack() as stack:
        client: Client | None = None
        if settings.token_file is None:
            connecting = connect(settings.kubeconfig, settings.context, component=COMPONENT)
            client = await stack.enter_async_context(connecting)
        access = KubernetesAuth(client) if client is not None else TokenFile(_require_token_file(settings.token_file))
        certificate = _certificate(settings, client)
        system = StatusEndpoints(health, client, settings.namespace)
        endpoint_objects = (
            *(
                owner(backend)
                for owner in (PoolEndpoints, ImageEndpoints, SnapshotEndpoints, TrashEndpoints, OperationEndpoints)
            ),
            system,
        )
        app = application.create_app(Dispatcher(access, settings.deadline), endpoint_objects, health)
        stack.push_async_callback(backend.operations.stop)
        ready = {"certificate": certificate.ready, "ceph": lambda: images.key_problem}
        # Before /readyz answers: a Service sends requests as soon as that says so.
        await stack.enter_async_context(application.listening(app, settings.host, settings.port, certificate.context))
        await guard(
            ("probes", probes.serve(settings.probe_host, settings.probe_port, ready)),
            ("certificate", certificate.run()),
            ("health", health.run()),
        )


def _require_token_file(path: Path | None) -> Path:
    assert path is not None  # noqa: S101 - no client means a token file
    return path


def _certificate(settings: ApiSettings, client: Client | None) -> ManagedSource:
    service = f"{COMPONENT}.{settings.namespace}.svc"
    names = ServerNames((*dict.fromkeys(("localhost", COMPONENT, service, *settings.tls_names)),), ("127.0.0.1",))
    store: CertificateStore
    if settings.tls_folder is not None:
        store = DirectoryStore(settings.tls_folder)
    elif client is not None:
        store = SecretStore(client, settings.namespace, CERTIFICATE_SECRET)
    else:
        raise application.ListenError(
            "--token-file needs --tls-folder, a folder for the certificate, which may be empty"
        )
    return ManagedSource(store, names, is_trusted=trusted_after(_CA_KNOWN_AFTER), serves_foreign=True)


def _cluster(settings: ApiSettings, user: str) -> CephCluster:
    return CephCluster(
        ClusterSettings(
            conf=settings.ceph_conf,
            user=user,
            timeout=settings.ceph_timeout,
            connect_timeout=settings.ceph_timeout,
            threads=settings.threads,
            removals=settings.threads,
        )
    )
