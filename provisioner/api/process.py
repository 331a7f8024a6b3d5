"""`python -m provisioner api`: the parts put together."""

import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

from pydantic import Field

from certs.issue import Names
from certs.store import Store as SecretStore
from provisioner.api import audit, site
from provisioner.api.backend import Backend
from provisioner.api.health import Health
from provisioner.api.images import Images
from provisioner.api.pools import Pools
from provisioner.api.reviews import Reviews
from provisioner.api.server import Front
from provisioner.api.snapshots import Snapshots
from provisioner.api.system import System
from provisioner.api.tls import Certificate, Folder
from provisioner.api.tokens import TokenFile
from provisioner.api.trash import Trash
from provisioner.api.work import Work
from provisioner.ceph.cluster import Cluster
from provisioner.ceph.connection import ClusterSettings
from sutler import probes
from sutler.kube.client import Client, connect
from sutler.process import guard
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
    audit.setup(settings.log_format)
    images, pools = _cluster(settings, settings.ceph_user), None
    if settings.pools_user is not None:
        pools = images if settings.pools_user == settings.ceph_user else _cluster(settings, settings.pools_user)
    backend, health = Backend(images, pools), Health(images)
    async with AsyncExitStack() as stack:
        client: Client | None = None
        if settings.token_file is None:
            connecting = connect(settings.kubeconfig, settings.context, component=COMPONENT)
            client = await stack.enter_async_context(connecting)
        access = Reviews(client) if client is not None else TokenFile(_required(settings.token_file))
        certificate = _certificate(settings, client)
        system = System(health, client, settings.namespace)
        owners = (*(owner(backend) for owner in (Pools, Images, Snapshots, Trash, Work)), system)
        app = site.application(Front(access, settings.deadline), owners, health)
        stack.push_async_callback(backend.operations.stop)
        ready = {"certificate": certificate.ready, "ceph": lambda: images.key_problem}
        await guard(
            ("probes", probes.serve(settings.probe_host, settings.probe_port, ready)),
            ("certificate", certificate.run()),
            ("health", health.run()),
            ("api", site.serve(app, settings.host, settings.port, certificate.context)),
        )


def _required(path: Path | None) -> Path:
    assert path is not None  # noqa: S101 - no client means a token file
    return path


def _certificate(settings: ApiSettings, client: Client | None) -> Certificate:
    service = f"{COMPONENT}.{settings.namespace}.svc"
    names = Names((*dict.fromkeys(("localhost", COMPONENT, service, *settings.tls_names)),), ("127.0.0.1",))
    if settings.tls_folder is not None:
        return Certificate(Folder(settings.tls_folder), names)
    if client is None:
        raise site.ListenError("--token-file needs --tls-folder: a folder for the certificate, which may be empty")
    return Certificate(SecretStore(client, settings.namespace, CERTIFICATE_SECRET), names)


def _cluster(settings: ApiSettings, user: str) -> Cluster:
    return Cluster(
        ClusterSettings(
            conf=settings.ceph_conf,
            user=user,
            timeout=settings.ceph_timeout,
            connect_timeout=settings.ceph_timeout,
            threads=settings.threads,
            removals=settings.threads,
        )
    )
