"""`sutler support-dump` on a real API server full of marked credentials, by accounts with few rights."""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import CANARIES, Run, Sutler
from tests.cluster import ControlPlane
from tests.conftest import REPOSITORY

OWN = {"app.kubernetes.io/name": "sutler", "app.kubernetes.io/component": "webhook"}
CEPHX = "AQ" + "D1" * 18 + "=="
MARKED = re.compile(f"{CANARIES.pattern}|{re.escape(CEPHX)}")
GUIDE = (REPOSITORY / "docs" / "troubleshooting.md").read_text().partition("## Support dump")[2]
RULES = yaml.safe_load(GUIDE.partition("```yaml\n")[2].partition("```")[0])["rules"]
"""The rights for a complete dump."""
READ = {each for rule in RULES for each in rule["resources"]} - {"pods/log"}


@pytest.fixture
def full(control_plane: ControlPlane, crds: None, registered: None, namespace: str) -> Iterator[str]:
    """Sutler's namespace, with objects that hold marked credentials wherever a user can write one."""
    del crds, registered
    objects = _objects(namespace)
    control_plane.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    yield namespace
    for kind in ("storageclass", "registrymapping"):
        control_plane.kubectl("delete", kind, namespace)


@pytest.fixture
def reader(control_plane: ControlPlane, environ: dict[str, str], full: str) -> Iterator[Sutler]:
    """May read what a complete dump needs, and do nothing else: read no Secret, write nothing."""
    yield from _account(control_plane, environ, full, "reader", RULES)


@pytest.fixture
def newcomer(control_plane: ControlPlane, environ: dict[str, str], full: str) -> Iterator[Sutler]:
    rules = [{"apiGroups": ["sutler.dev"], "resources": ["registrymappings"], "verbs": ["list"]}]
    yield from _account(control_plane, environ, full, "newcomer", rules)


def _account(
    control_plane: ControlPlane, environ: dict[str, str], namespace: str, account: str, rules: list[dict[str, Any]]
) -> Iterator[Sutler]:
    api, name = "rbac.authorization.k8s.io", f"{namespace}-{account}"
    metadata: Any = {"name": name}
    role = {"apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}
    binding = {
        "apiVersion": f"{api}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
    }
    for each in (role, binding):
        control_plane.kubectl("apply", "-f", "-", input=json.dumps(each))
    kubeconfig = control_plane.kubeconfig_for(namespace, "default")
    yield Sutler({**environ, "KUBECONFIG": str(kubeconfig), "SUTLER_NAMESPACE": namespace})
    control_plane.kubectl("delete", "clusterrolebinding,clusterrole", name)


def contents(path: Path) -> dict[str, str]:
    """The texts of an archive by their names without the top folder."""
    with tarfile.open(path) as tar:
        files = {member.name.partition("/")[2]: tar.extractfile(member) for member in tar.getmembers()}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def items(text: str) -> dict[str, Any]:
    return {item["metadata"]["name"]: item for item in json.loads(text)["items"]}


def test_dump_is_complete_without_a_right_to_read_secrets_or_to_write(
    reader: Sutler, control_plane: ControlPlane, full: str, tmp_path: Path
) -> None:
    path = tmp_path / "dump.tar.gz"
    ran = reader("support-dump", str(path), "-o", "json")
    assert (ran.status, ran.json["unread"]) == (0, {}), ran.out
    assert path.stat().st_mode & 0o777 == 0o600
    files = contents(path)
    assert sorted(files) == ran.json["files"]
    assert {name for name in files if name.startswith("objects/")} == {f"objects/{each}.json" for each in READ}

    assert not MARKED.search("\n".join(files.values())), "a credential is in the dump"
    everything = control_plane.kubectl("get", "secrets,configmaps,deployments,pods,events", "-n", full, "-o", "json")
    assert len(MARKED.findall(everything)) > 10, "the credentials are there to find"

    (deployment,) = items(files["objects/deployments.json"]).values()
    variables = {each["name"]: each for each in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert variables["SUTLER_LOG_LEVEL"]["value"] == "debug"
    assert items(files["objects/registrymappings.json"])[full]["spec"]["pullSecret"]["name"] == "team"
    assert items(files["objects/storageclasses.json"])[full]["parameters"]["pool"] == "rbd"
    claims = json.loads(files["objects/persistentvolumeclaims.json"])["items"]
    assert [each["metadata"]["name"] for each in claims if each["metadata"]["namespace"] == full] == ["data"]
    assert {event["reason"] for event in items(files["objects/events.json"]).values()} >= {"Conflict", "Provisioning"}
    assert json.loads(files["versions.json"])["processes"][0]["image"] == "sutler:0.1.0"
    assert f"logs of Pod {full}" in json.loads(files["summary.json"])["absent"]


def test_what_may_not_be_read_is_left_out_and_listed(newcomer: Sutler, full: str, tmp_path: Path) -> None:
    path = tmp_path / "dump"
    ran = newcomer("support-dump", str(path))
    assert ran.status == 3
    for what in (f"Pods of namespace {full}", "PersistentVolumeClaims of all namespaces", "Events of all namespaces"):
        assert f"Left out: {what}: you may not read" in ran.out
    written = {str(file.relative_to(path)) for file in path.rglob("*.json")}
    assert written >= {"objects/registrymappings.json", "versions.json", "summary.json"}
    assert not any(name in written for name in ("objects/pods.json", "objects/persistentvolumeclaims.json"))
    assert f"Pods of namespace {full}" in json.loads((path / "summary.json").read_text())["unread"]
    assert path.stat().st_mode & 0o777 == 0o700


def test_nothing_is_overwritten_and_nothing_written_without_a_cluster(offline: Run, tmp_path: Path) -> None:
    existing = tmp_path / "mine.tar.gz"
    existing.write_text("mine")
    assert offline("support-dump", str(existing)).status == 2
    assert existing.read_text() == "mine"
    assert offline("support-dump", str(tmp_path / "none" / "dump.tgz")).status == 2
    assert offline("support-dump", str(tmp_path / "dump.tgz")).status == 3
    assert {path.name for path in tmp_path.iterdir()} == {"mine.tar.gz"}


def _objects(namespace: str) -> list[dict[str, Any]]:
    def of(api_version: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
        annotations = {"example.com/note": "Password", "sutler.dev/note": f"a key {CEPHX}"}
        metadata: Any = {"name": name, "namespace": namespace, "labels": OWN, "annotations": annotations}
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}

    environment = [
        {"name": "SUTLER_LOG_LEVEL", "value": "debug"},
        {"name": "HTTPS_PROXY", "value": "http://user:hunter2@proxy"},
        {"name": "OTHER", "value": "Password"},
    ]
    container = {
        "name": "webhook",
        "image": "sutler:0.1.0",
        "command": ["python3", "-m", "webhook", "--proxy=https://user:hunter2@proxy:3128", "--password", "x"],
        "env": environment,
    }
    spec = {"containers": [container]}
    template = {"metadata": {"labels": OWN, "annotations": {"note": "hunter2"}}, "spec": spec}
    storage = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    event = {
        "involvedObject": {"kind": "Secret", "namespace": namespace, "name": "team"},
        "type": "Warning",
    }
    return [
        of("v1", "Secret", "team", stringData={"password": "Password", "key": CEPHX}),
        of("v1", "ConfigMap", "ceph", data={"keyring": f"key = {CEPHX}", "other": "hunter2"}),
        of("apps/v1", "Deployment", "sutler-webhook", spec={"selector": {"matchLabels": OWN}, "template": template}),
        of("v1", "Pod", namespace, spec=spec),
        of("v1", "Service", "sutler-webhook", spec={"ports": [{"port": 443}]}),
        of("v1", "Event", "own", reason="Conflict", message=f"keyring has {CEPHX}", **event),
        of("v1", "Event", "by", reason="Provisioning", source={"component": "sutler-volumes"}, message="at", **event),
        of(
            "sutler.dev/v1alpha1",
            "RegistryMapping",
            namespace,
            spec={"registries": ["quay.io/team"], "pullSecret": {"name": "team"}, "namespaceSelector": {}},
        ),
        of(
            "storage.k8s.io/v1",
            "StorageClass",
            namespace,
            provisioner="rbd.sutler.dev",
            parameters={"pool": "rbd", "password": "hunter2", "userSecretName": CEPHX},
        ),
        of("v1", "PersistentVolumeClaim", "data", spec={**storage, "storageClassName": namespace}),
        of("v1", "PersistentVolumeClaim", "other", spec={**storage, "storageClassName": "other"}),
    ]
