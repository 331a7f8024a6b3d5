"""The secrets controller as a process of its own, with the rights of its own account, on a real API server."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sutler.registry.dockerconfig import DOCKERCONFIGJSON
from tests.cluster import ControlPlane, Place, SutlerProcess, wait_for
from tests.conftest import REPOSITORY
from tests.secrets import objects
from tests.secrets.objects import OWN, Json

# A leader that was killed is replaced after three seconds instead of fifteen.
QUICK = ["--lease-duration", "3", "--renew-deadline", "2", "--retry-period", "0.5"]


@dataclass
class Cluster:
    """What these tests do to the cluster, and ask of it."""

    control_plane: ControlPlane
    prefix: str = field(default_factory=lambda: f"t{secrets.token_hex(3)}")
    namespaces: list[str] = field(default_factory=list)
    mappings: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)

    def kubectl(self, *args: str, body: Json | None = None) -> str:
        return self.control_plane.kubectl(*args, input=json.dumps(body) if body else None)

    def name(self, suffix: str) -> str:
        return f"{self.prefix}-{suffix}"

    @property
    def team(self) -> Json:
        """Selects the namespaces of this test only."""
        return {"matchLabels": {"test": self.prefix}}

    def namespace(self, suffix: str, **labels: str) -> str:
        name = self.name(suffix)
        labels = {"test": self.prefix} | labels
        self.kubectl(
            "create",
            "-f",
            "-",
            body={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
        )
        self.namespaces.append(name)
        return name

    def source(self, suffix: str, data: dict[str, str], kind: str = DOCKERCONFIGJSON) -> str:
        name = self.name(suffix)
        if name in self.sources:
            found = self.secret(OWN, name)
            if found and found["type"] != kind:
                self.kubectl("delete", "secret", name, "-n", OWN)
        self.kubectl("apply", "-f", "-", body=objects.secret(name, data, kind))
        self.sources.append(name)
        return name

    def mapping(self, suffix: str, **what: Any) -> str:
        name = self.name(suffix)
        body = objects.mapping(name, **{"selector": self.team, **what})
        body["metadata"] = {"name": name}
        self.kubectl("apply", "-f", "-", body=body)
        self.mappings.append(name)
        return name

    def unmap(self, name: str) -> None:
        self.kubectl("delete", "registrymapping", name)

    def secret(self, namespace: str, name: str) -> Json | None:
        found: Json | None = self.control_plane.there(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        return found

    def auths(self, namespace: str, name: str) -> dict[str, Json] | None:
        found = self.secret(namespace, name)
        return objects.auths(found) if found else None

    def everywhere(self, name: str) -> dict[str, Json]:
        """The Secrets of this name by namespace, of all namespaces in one call."""
        found = self.control_plane.kubectl_json("get", "secrets", "-A", "--field-selector", f"metadata.name={name}")
        return {one["metadata"]["namespace"]: one for one in found["items"]}

    def copied(self, namespace: str, name: str) -> Json:
        return wait_for(lambda: self.secret(namespace, name), f"the copy {namespace}/{name}")

    def rotated(self, namespace: str, name: str, expected: dict[str, Json]) -> None:
        wait_for(lambda: self.auths(namespace, name) == expected, f"the new credentials in {namespace}/{name}")

    def gone(self, namespace: str, name: str) -> None:
        wait_for(lambda: self.secret(namespace, name) is None, f"{namespace}/{name} to be gone")

    def condition(self, mapping: str, kind: str = "Ready") -> Json:
        found = self.control_plane.kubectl_json("get", "registrymapping", mapping)
        conditions = found.get("status", {}).get("conditions", [])
        current: Json = next((one for one in conditions if one["type"] == kind), {})
        return current | {"namespaces": found.get("status", {}).get("namespaces")}

    def wait_for_reason(self, mapping: str, reason: str) -> Json:
        """The Ready condition, once it has this reason."""

        def ask() -> Json | None:
            found = self.condition(mapping)
            return found if found.get("reason") == reason else None

        return wait_for(ask, f"mapping {mapping} to be {reason}")

    def audited(self, namespace: str) -> list[Json]:
        """What the controller's account asked for there."""
        lines = map(json.loads, self.control_plane.audit_log.read_text().splitlines())
        return [
            line
            for line in lines
            if line["user"]["username"].endswith(":sutler-secrets")
            and (line.get("objectRef") or {}).get("namespace") == namespace
        ]

    def events(self, mapping: str) -> list[tuple[str, str]]:
        about = f"involvedObject.name={mapping}"
        found = self.control_plane.kubectl_json("get", "events", "-n", "default", "--field-selector", about)["items"]
        return [(one["type"], one["reason"]) for one in found]

    def clean(self) -> None:
        for kind, names in (
            ("registrymapping", self.mappings),
            ("secret", ["-n", OWN, *self.sources] if self.sources else []),
        ):
            if names:
                self.kubectl("delete", kind, *names, "--ignore-not-found", "--wait=false")
        for name in self.namespaces:
            self.control_plane.empty_namespace(name)
        self.kubectl("label", "namespace", OWN, "test-")


@pytest.fixture(scope="session")
def account(control_plane: ControlPlane, crds: None) -> Path:  # noqa: ARG001 - its account may read our kinds
    """A kubeconfig with the secrets controller's rights and no others."""
    base = REPOSITORY / "manifests" / "base"
    for file in ("namespace.yaml", "secrets-rbac.yaml"):
        control_plane.kubectl("apply", "-f", str(base / file))
    return control_plane.kubeconfig_for(OWN, "sutler-secrets")


@pytest.fixture(scope="module")
def controller(account: Path, place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SutlerProcess]:
    argv = ["provisioner", "secrets", "--namespace", OWN, "--log-level", "debug", *QUICK]
    process = SutlerProcess(argv, account, place, tmp_path_factory.mktemp("secrets"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def cluster(control_plane: ControlPlane, controller: SutlerProcess) -> Iterator[Cluster]:  # noqa: ARG001 - it acts
    made = Cluster(control_plane)
    yield made
    made.clean()
