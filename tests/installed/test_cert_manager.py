"""The overlay for cert-manager with its rights alone; the test does what cert-manager would."""

import base64
import datetime as dt
import json
from collections.abc import Iterator

import pytest
import yaml

from certs import pki
from tests.cluster import ControlPlane, Place, SutlerProcess, wait_for
from tests.cluster.installation import NAMESPACE
from tests.conftest import REPOSITORY
from tests.installed import rights
from tests.installed.life import TEAM
from tests.manifests.rendered import KNOWS_COMPONENTS, OVERLAYS, Json, container, named, of, pods, rendered
from tests.node.shell import Shell
from tests.system.conftest import ALIYUN, apply, registry_mapping

RIGHTS = ("Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")

# A cluster of its own, for what another test shows of the parts.
pytestmark = [pytest.mark.long, KNOWS_COMPONENTS]


@pytest.fixture
def webhook(
    control_plane: ControlPlane, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SutlerProcess]:
    objects = rendered(OVERLAYS["cert-manager"])
    control_plane.kubectl("apply", "-f", str(REPOSITORY / "manifests" / "crds"))
    control_plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(of(objects, *RIGHTS)))
    authority = pki.new_authority(dt.datetime.now(dt.UTC))
    pair = pki.new_leaf(authority, pki.ServerNames((), ("127.0.0.1",)), dt.datetime.now(dt.UTC))
    mounted = tmp_path_factory.mktemp("certificate")
    (mounted / "tls.crt").write_bytes(pair.certificate)
    (mounted / "tls.key").write_bytes(pair.key)
    (setting,) = container(pods(objects)["sutler-webhook"])["env"]
    process = SutlerProcess(
        ["webhook"],
        kubeconfig=control_plane.kubeconfig_for(NAMESPACE, "sutler-webhook"),
        place=place,
        state=tmp_path_factory.mktemp("webhook"),
        env={setting["name"]: str(mounted)},
    )
    process.start()
    configuration = named(objects, "MutatingWebhookConfiguration", "sutler-webhook")
    client = {"url": f"{process.url}/mutate", "caBundle": base64.b64encode(authority.certificate).decode()}
    apply(
        control_plane,
        configuration | {"webhooks": [one | {"clientConfig": client} for one in configuration["webhooks"]]},
    )
    apply(control_plane, _issued(authority.certificate, pair))
    yield process
    process.stop()


def _issued(authority: bytes, pair: pki.KeyPair) -> Json:
    """The Secret as cert-manager writes it."""
    files = {"ca.crt": authority, "tls.crt": pair.certificate, "tls.key": pair.key}
    annotations = {"cert-manager.io/certificate-name": "sutler-webhook"}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "sutler-webhook-tls", "namespace": NAMESPACE, "annotations": annotations},
        "type": "kubernetes.io/tls",
        "data": {name: base64.b64encode(content).decode() for name, content in files.items()},
    }


def test_webhook_works_without_a_right_to_write_anything(control_plane: ControlPlane, webhook: SutlerProcess) -> None:
    control_plane.create_namespace(TEAM)
    apply(control_plane, registry_mapping("aliyun", f"{ALIYUN}/xxxx"))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "app"},
        "spec": {"containers": [{"name": "app", "image": f"{ALIYUN}/xxxx/app"}]},
    }

    def injected() -> list[Json]:
        tried = ["create", "-n", TEAM, "-f", "-", "--dry-run=server"]
        made: Json = control_plane.kubectl_json(*tried, input=json.dumps(pod))
        return list(made["spec"].get("imagePullSecrets", []))

    assert wait_for(injected, "the mapping to be known") == [{"name": "aliyun"}]
    found = json.loads(Shell(control_plane).type("sutler check-install -o json"))
    assert {each["level"] for each in found} <= {"ok", "note"}, found
    webhook.stop()
    with control_plane.audit_log.open() as log:
        asked = list(rights.entries(log))
    assert rights.refused(asked) == []
    assert {entry["verb"] for entry in asked} == {"list", "watch"}
