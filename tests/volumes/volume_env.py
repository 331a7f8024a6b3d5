"""What tests of the whole controller share. It uses kubectl and rbd, as users do."""

import json
import secrets
from collections.abc import Sequence
from typing import Any

from tests.cluster import Ceph, ControlPlane, SutlerProcess, wait_for

Json = dict[str, Any]

# Short, so that a killed leader's successor can be waited for.
ARGUMENTS = ["provisioner", "volumes", "--lease-duration=4", "--renew-deadline=3", "--retry-period=0.5"]
ARGUMENTS += ["--ceph-timeout=3", "--ceph-connect-timeout=3", "--reconcile-interval=2", "--capacity-interval=1"]


def claim(name: str, storage_class: str, size: str = "1.5Gi", **spec: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
            "storageClassName": storage_class,
        }
        | spec,
    }


class VolumeEnv:
    def __init__(
        self, control_plane: ControlPlane, ceph: Ceph, process: SutlerProcess, namespace: str, pool: str
    ) -> None:
        self.control_plane = control_plane
        self.ceph = ceph
        self.process = process
        self.namespace = namespace
        self.pool = pool
        self.classes: list[str] = []

    def storage_class(
        self, parameters: dict[str, str] | None = None, annotations: dict[str, str] | None = None, **more: Any
    ) -> str:
        """A class for the test's pool; returns its name."""
        name = f"class-{secrets.token_hex(4)}"
        self.apply(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": name, "annotations": annotations or {}},
                "provisioner": "rbd.sutler.dev",
                "parameters": {"pool": self.pool} | (parameters or {}),
            }
            | more
        )
        self.classes.append(name)
        return name

    def apply(self, *objects: Json) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.control_plane.kubectl("-n", self.namespace, "create", "-f", "-", input=text)

    def kubectl(self, *args: str) -> str:
        return self.control_plane.kubectl("-n", self.namespace, *args)

    def get(self, *args: str) -> Any:
        return self.control_plane.kubectl_json("-n", self.namespace, "get", *args)

    def claims(self) -> list[Json]:
        items: list[Json] = self.get("pvc")["items"]
        return items

    def all_bound(self, count: int) -> bool:
        claims = self.claims()
        return len(claims) == count and all(c["status"]["phase"] == "Bound" for c in claims)

    def wait_bound(self, count: int = 1) -> list[Json]:
        wait_for(lambda: self.all_bound(count), f"{count} claims to be Bound")
        return self.claims()

    def volume_of(self, name: str) -> Json:
        volume: Json = self.get("pv", self.get("pvc", name)["spec"]["volumeName"])
        return volume

    def volumes(self) -> list[Json]:
        items = self.get("pv")["items"]
        return [pv for pv in items if pv["spec"]["storageClassName"] in self.classes]

    def images(self, pool: str | None = None) -> list[str]:
        names: list[str] = json.loads(self.ceph.rbd("ls", pool or self.pool, "--format", "json"))
        return names

    def image(self, name: str) -> Json:
        info: Json = json.loads(self.ceph.rbd("info", f"{self.pool}/{name}", "--format", "json"))
        return info

    def metadata(self, name: str) -> dict[str, str]:
        # rbd prints nothing at all about an image without any.
        listed = self.ceph.rbd("image-meta", "list", f"{self.pool}/{name}", "--format", "json")
        found: dict[str, str] = json.loads(listed or "{}")
        return found

    def events(self, name: str, reason: str, namespace: str | None = None) -> list[Json]:
        fields = f"involvedObject.name={name},reason={reason}"
        found = self.control_plane.kubectl_json(
            "-n", namespace or self.namespace, "get", "events", "--field-selector", fields
        )
        items: list[Json] = found["items"]
        return items

    def wait_event(self, name: str, reason: str, says: str, namespace: str | None = None) -> Json:
        def found() -> Json | None:
            events = self.events(name, reason, namespace)
            return next((e for e in events if says in e["message"]), None)

        return wait_for(found, f"an event {reason} on {name} that says {says!r}")

    def delete_claims(self, *names: str) -> None:
        self.kubectl("delete", "pvc", "--wait=false", *(names or ["--all"]))

    def wait_gone(self, timeout: float = 60, pools: Sequence[str] = ()) -> None:
        wait_for(lambda: not self.claims() and not self.volumes(), "claims and volumes to be gone", timeout)
        for pool in [self.pool, *pools]:
            wait_for(lambda pool=pool: not self.images(pool), f"the images of {pool} to be gone", timeout)  # type: ignore[misc] # mypy can't type a lambda with a default

    def clean_up(self) -> None:
        self.delete_claims()
        wait_for(lambda: not self.claims(), "claims to be gone")
        if self.classes:
            self.control_plane.kubectl("delete", "storageclass", *self.classes)
