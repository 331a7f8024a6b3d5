"""`python -m provisioner api`: the parts put together."""

import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

from pydantic import Field

from certs.pki import ServerNames
from certs.stores import SecretStore
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
from provisioner.api.tls_certificate import ApiCertificate, DirectoryStore
from provisioner.api.token_file import TokenFile
from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.connection import ClusterSettings
from sutler import probes
from sutler.kube.client import Client, connect
from sutler.runtime import guard
from sutler.settings import Port, ProcessSettings, Seconds

COMPONENT = "sutler-api"
CERTIFICATE_SECRET = "sutler-api-certificate"  # noqa: S105 - the name of a Secret


class ApiSettings(ProcessSettings):
    """Serves pools and images over HTTPS, to whom Kubernetes or a token file lets in."""

    host: str = "0.0.0.0"  # noqa: S104 - that is what a service is for
    """Address to serve on."""

    port: Port = 8443
    """Port to serve on."""

    token_file: Path | None = None
    """File with a line token,user,role for each user; role is viewer, editor or admin. Kubernetes is not asked then."""

    tls_folder: Path | None = None
    """Folder with tls.crt and tls.key, read again when they change; an empty one gets a CA and a certificate of its
    own. Default: the Secret sutler-api-certificate in Sutler's own namespace."""

    tls_names: list[str] = Field(default_factory=list)
    """More host names for the service's own certificate, besides localhost and the Service's."""

    ceph_conf: str = Field(default_factory=lambda: os.environ.get("CEPH_CONF", ""))
    """Path of the ceph.conf. Default: CEPH_CONF, else Ceph's own places. CEPH_ARGS is obeyed, too."""

    ceph_user: str = "admin"
    """The Ceph user for images, without "client."."""

    pools_user: str | None = None
    """The Ceph user that may make and delete pools. Default: nobody may."""

    ceph_timeout: Seconds = 5.0
    """Seconds that an OSD or a monitor has for one operation; Ceph itself would wait for ever."""

    deadline: Seconds = 20.0
    """Seconds after which every request has its answer, 504 if nothing better."""

    threads: Annotated[int, Field(ge=2, le=256)] = 16
    """Calls to Ceph at a time; removing, flattening and rolling back have as many more."""


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
        await guard(
            ("probes", probes.serve(settings.probe_host, settings.probe_port, ready)),
            ("certificate", certificate.run()),
            ("health", health.run()),
            ("api", application.serve(app, settings.host, settings.port, certificate.context)),
        )


def _require_token_file(path: Path | None) -> Path:
    assert path is not None  # noqa: S101 - no client means a token file
    return path


def _certificate(settings: ApiSettings, client: Client | None) -> ApiCertificate:
    service = f"{COMPONENT}.{settings.namespace}.svc"
    names = ServerNames((*dict.fromkeys(("localhost", COMPONENT, service, *settings.tls_names)),), ("127.0.0.1",))
    if settings.tls_folder is not None:
        return ApiCertificate(DirectoryStore(settings.tls_folder), names)
    if client is None:
        raise application.ListenError(
            "--token-file needs --tls-folder: a folder for the certificate, which may be empty"
        )
    return ApiCertificate(SecretStore(client, settings.namespace, CERTIFICATE_SECRET), names)


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
