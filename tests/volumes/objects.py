"""Claims, classes and volumes as the API server hands them out, for the tests of what decides."""

from typing import Any

from provisioner.volumes.planning.storage_class import VolumeClass, parse_class

Json = dict[str, Any]

UID = "6f1f6a2e-8c1d-4a2b-9a63-0d2f8d9f1c11"


def storage_class(
    parameters: dict[str, str] | None = None, annotations: dict[str, str] | None = None, **more: Any
) -> Json:
    return {
        "metadata": {"name": "fast", "uid": "class-uid", "annotations": annotations or {}},
        "provisioner": "rbd.sutler.dev",
        "parameters": {"pool": "rbd"} | (parameters or {}),
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    } | more


def parsed(
    parameters: dict[str, str] | None = None, annotations: dict[str, str] | None = None, **more: Any
) -> VolumeClass:
    return parse_class(storage_class(parameters, annotations, **more))


def claim(*, size: str = "1Gi", metadata: Json | None = None, status: Json | None = None, **spec: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "shop", "uid": UID, "resourceVersion": "7"} | (metadata or {}),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
            "storageClassName": "fast",
            "volumeMode": "Filesystem",
        }
        | spec,
        "status": status if status is not None else {"phase": "Pending"},
    }


def volume(
    *, phase: str = "Released", metadata: Json | None = None, annotations: Json | None = None, **spec: Any
) -> Json:
    ours = {
        "pv.kubernetes.io/provisioned-by": "rbd.sutler.dev",
        "sutler.dev/cluster-id": "",
        "sutler.dev/image": f"rbd/shop-data-{UID}",
        "sutler.dev/deletion-policy": "remove",
    }
    return {
        "metadata": {
            "name": f"pvc-{UID}",
            "uid": "volume-uid",
            "annotations": ours | (annotations or {}),
            "finalizers": ["external-provisioner.volume.kubernetes.io/finalizer", "kubernetes.io/pv-protection"],
        }
        | (metadata or {}),
        "spec": {
            "capacity": {"storage": "1Gi"},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": "fast",
            "claimRef": {"namespace": "shop", "name": "data", "uid": UID},
        }
        | spec,
        "status": {"phase": phase},
    }
