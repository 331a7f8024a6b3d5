"""Authorization by a real API server: ServiceAccounts, roles of the manifests, the REST API's own account."""

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.api.authorization import GROUP, ROLES, Permission, Role, User
from provisioner.api.kubernetes_auth import KubernetesAuth
from provisioner.api.problem import from_error
from sutler.kube.errors import Unreachable
from tests.api.client import Api
from tests.cluster import Ceph, ControlPlane, Place, SutlerProcess, wait_for
from tests.conftest import REPOSITORY

BASE = REPOSITORY / "manifests" / "base"
OWN = "sutler-system"


@pytest.fixture(scope="module")
def process(
    control_plane: ControlPlane,
    crds: None,  # noqa: ARG001 - it has to be there
    ceph: Ceph,
    place: Place,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SutlerProcess]:
    """The API with its own account's token, and so with no right that the manifests don't give it."""
    for name in ("namespace", "api-certificate", "api-rbac", "api-roles"):
        control_plane.kubectl("apply", "-f", str(BASE / f"{name}.yaml"))
    wait_for(lambda: control_plane.kubectl("-n", OWN, "get", "sa", "-o", "name"), "service accounts")
    kubeconfig = control_plane.kubeconfig_for(OWN, "sutler-api")
    words = ["provisioner", "api", "--ceph-conf", str(ceph.conf), "--pools-user", "admin", "--deadline", "8"]
    started = SutlerProcess(words, kubeconfig=kubeconfig, place=place, state=tmp_path_factory.mktemp("api-kubernetes"))
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def authority(
    control_plane: ControlPlane,
    process: SutlerProcess,  # noqa: ARG001 - it makes the certificate
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The CA as a client fetches it."""
    secret = control_plane.kubectl_json("-n", OWN, "get", "secret", "sutler-api-certificate")
    file = tmp_path_factory.mktemp("ca") / "ca.crt"
    file.write_bytes(base64.b64decode(secret["data"]["ca.crt"]))
    return file


@pytest.fixture
def as_role(control_plane: ControlPlane, namespace: str, process: SutlerProcess, authority: Path) -> Iterator[Any]:
    """A client with a fresh account's token, bound to one of the roles, or to none."""
    bindings = []

    def client(role: str | None, name: str = "someone") -> Api:
        control_plane.kubectl("-n", namespace, "create", "serviceaccount", name)
        if role is not None:
            binding = f"{namespace}-{name}"
            account = f"--serviceaccount={namespace}:{name}"
            control_plane.kubectl("create", "clusterrolebinding", binding, f"--clusterrole={role}", account)
            bindings.append(binding)
        config = yaml.safe_load(control_plane.kubeconfig_for(namespace, name).read_text())
        return Api(process.url, authority, token=config["users"][0]["user"]["token"])

    yield client
    for binding in bindings:
        control_plane.kubectl("delete", "clusterrolebinding", binding)


def test_request_without_a_token_is_rejected(process: SutlerProcess, authority: Path) -> None:
    api = Api(process.url, authority, token=None, base="")
    for path in ("/api/v1/pools", "/openapi.json", "/docs", "/ui", "/static/ui.js"):
        refused = api.get(path)
        assert refused.status == 401, path
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("token", ["nonsense", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "\xff\xfe"])
def test_unknown_token_is_refused(process: SutlerProcess, authority: Path, token: str) -> None:
    assert Api(process.url, authority, token=token).get("/pools").status == 401


async def test_right_is_remembered_for_the_very_user_that_it_was_asked_for() -> None:
    asked: list[Any] = []

    class Scoped:
        """An API server whose authorizer goes by what a token is for, as OpenShift's does."""

        async def post(self, _: str, body: Any) -> Any:
            asked.append(body["spec"])
            return {"status": {"allowed": body["spec"]["extra"].get("scopes") == ["all"]}}

    server: Any = Scoped()
    reviews = KubernetesAuth(server)
    right = Permission("images", "delete")
    assert await reviews.is_allowed(User("ada", extra={"scopes": ("all",)}), right, "rbd")
    assert not await reviews.is_allowed(User("ada", extra={"scopes": ("look",)}), right, "rbd")
    assert await reviews.is_allowed(User("ada", extra={"scopes": ("all",)}), right, "rbd")
    assert len(asked) == 2, "the same question is asked once"


def test_account_without_a_role_is_known_and_may_nothing(as_role: Any, namespace: str) -> None:
    api = as_role(None)
    refused = api.get("/pools")
    assert refused.status == 403
    assert (
        f"system:serviceaccount:{namespace}:someone has no permission to list pools.sutler.dev"
        in refused.json["detail"]
    )
    assert "sutler-api-viewer" in refused.json["detail"]


def test_viewer_looks_and_changes_nothing(as_role: Any, pool: str) -> None:
    api = as_role("sutler-api-viewer")
    assert api.get("/pools").status == 200
    assert api.get(f"/pools/{pool}/images").status == 200
    assert api.get("/kubernetes").status == 200
    for refused in (
        api.post("/pools", {"name": "x"}),
        api.delete(f"/pools/{pool}?confirm={pool}"),
        api.post(f"/pools/{pool}/images", {"name": "x", "size": "1Mi"}),
        api.delete(f"/pools/{pool}/images/x"),
    ):
        assert refused.status == 403, refused.text


def test_editor_works_with_images_and_admin_with_pools(as_role: Any, pool: str) -> None:
    editor, admin = as_role("sutler-api-editor"), as_role("sutler-api-admin", "ada")
    assert editor.post(f"/pools/{pool}/images", {"name": "mine", "size": "1Mi"}).status == 201
    assert editor.delete(f"/pools/{pool}/images/mine?force=true").status == 403
    assert editor.delete(f"/pools/{pool}/images/mine").status == 204
    assert editor.patch(f"/pools/{pool}", {"quota": {"objects": 5}}).status == 403
    assert admin.patch(f"/pools/{pool}", {"quota": {"objects": 5}}).status == 200


def test_role_can_be_for_one_pool_only(as_role: Any, control_plane: ControlPlane, pool: str, direct: Any) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"only-{pool}"},
        "rules": [
            {"apiGroups": [GROUP], "resources": ["images"], "resourceNames": [pool], "verbs": ["create", "list"]}
        ],
    }
    control_plane.kubectl("apply", "-f", "-", input=yaml.safe_dump(role))
    direct.create_pool(f"{pool}-b")
    try:
        api = as_role(f"only-{pool}")
        assert api.post(f"/pools/{pool}/images", {"name": "mine", "size": "1Mi"}).status == 201
        assert api.get(f"/pools/{pool}-b/images").status == 403
        assert api.get("/pools").status == 403
    finally:
        direct.delete_pool(f"{pool}-b")
        control_plane.kubectl("delete", "clusterrole", f"only-{pool}")


def test_change_leaves_an_audit_line(as_role: Any, process: SutlerProcess, namespace: str, pool: str) -> None:
    editor = as_role("sutler-api-editor")
    made = editor.post(f"/pools/{pool}/images", {"name": "audited", "size": "1Mi"})
    request = made.headers["X-Request-Id"]
    (line,) = [line for line in process.log_text().splitlines() if request in line]
    for word in (f"system:serviceaccount:{namespace}:someone", "create_image", pool, "audited", "done", "201"):
        assert word in line
    assert editor.token not in process.log_text()


def test_mappings_and_controllers_are_shown(as_role: Any, control_plane: ControlPlane) -> None:
    mapping = {
        "apiVersion": "sutler.dev/v1alpha1",
        "kind": "RegistryMapping",
        "metadata": {"name": "shown"},
        "spec": {"registries": ["registry.example.com"], "pullSecret": {"name": "s"}, "namespaceSelector": {}},
    }
    control_plane.kubectl("apply", "-f", "-", input=yaml.safe_dump(mapping))
    try:
        shown = as_role("sutler-api-viewer").get("/kubernetes").json
        one = next(one for one in shown["mappings"] if one["name"] == "shown")
        assert (one["registries"], one["ready"], one["mode"]) == (["registry.example.com"], "Unknown", "Inject")
        assert [one["name"] for one in shown["controllers"]] == ["sutler-secrets", "sutler-volumes"]
    finally:
        control_plane.kubectl("delete", "registrymapping", "shown")


def test_denied_review_is_not_blamed_on_the_user() -> None:
    problem = from_error(Unreachable("listing registrymappings: connection refused"))
    assert (problem.kind.status, problem.detail) == (
        503,
        "the request to Kubernetes failed: listing registrymappings: connection refused",
    )


def test_stopped_api_server_is_503_and_recovers(
    as_role: Any, control_plane: ControlPlane, process: SutlerProcess
) -> None:
    api = as_role("sutler-api-viewer")
    control_plane.pause()
    try:
        answer = api.get("/pools", timeout=40)
        assert answer.status in {503, 504}
        assert process.ready()
    finally:
        control_plane.resume()
    wait_for(lambda: api.get("/pools").status == 200, "the service to heal")


def test_roles_of_the_manifests_are_those_of_token_files() -> None:
    documents = yaml.safe_load_all((BASE / "api-roles.yaml").read_text())
    granted = {
        document["metadata"]["name"]: {
            resource: set(rule["verbs"]) for rule in document["rules"] for resource in rule["resources"]
        }
        for document in documents
    }
    expected = {f"sutler-api-{role}": {kind: set(verbs) for kind, verbs in ROLES[role].items()} for role in Role}
    assert granted == expected


def test_manifests_render() -> None:
    ran = subprocess.run(["kubectl", "kustomize", str(BASE)], capture_output=True, text=True, check=True, timeout=30)
    kinds = {(one["kind"], one["metadata"]["name"]) for one in yaml.safe_load_all(ran.stdout)}
    assert {("Deployment", "sutler-api"), ("Service", "sutler-api"), ("ClusterRole", "sutler-api-admin")} <= kinds
