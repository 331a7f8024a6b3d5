"""Reviews as large as real ones, for load: of Pods that come again, and of Pods none of which is like another."""

import json
from collections.abc import Iterator
from itertools import count, cycle

from sutler.registry.mapping import Mapping
from sutler.registry.selector import LabelSelector

TEMPLATES = ("registry-{:05}.example.com", "*.team-{:05}.example.com", "quay.io/team-{:05}")
REPEATED = 60
"""Different Pods among those that come again."""

_IMAGES = (
    "registry-%05d.example.com/acme/app:1.%09d",
    "eu.team-%05d.example.com/acme/sidecar@sha256:%064x",
    "docker.io/library/busybox:1.%09d",
)


def mappings(number: int) -> list[Mapping]:
    """A third each: plain hosts, hosts with globs, paths of one registry."""
    return [Mapping(f"m{n}", (TEMPLATES[n % 3].format(n),), f"pull-secret-{n}", LabelSelector()) for n in range(number)]


def repeated(mappings: int) -> Iterator[bytes]:
    """Requests about the same few Pods, as a Deployment's replicas are."""
    return cycle([_request(number, mappings) for number in range(REPEATED)])


def distinct(mappings: int, start: int) -> Iterator[bytes]:
    """Requests about Pods of whose images none came before. Two of the three match one mapping each."""
    return (_request(number, mappings) for number in count(start))


def _request(number: int, mappings: int) -> bytes:
    """All of them have the same length."""
    matched = number * 37 % (mappings // 3) * 3
    return _TEMPLATE % (number, matched, number, matched + 1, number, number)


def _review() -> bytes:
    """About 5 KB, two containers and an init container; what changes from one to the next as in bytes.__mod__."""
    container = {
        "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
        "env": [{"name": f"SETTING_{n}", "value": "x" * 24} for n in range(12)],
        "volumeMounts": [
            {"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}
        ],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }
    app, sidecar, init = ({"name": f"c{n}", "image": image, **container} for n, image in enumerate(_IMAGES))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "app-5d4f8c7b9-",
            "namespace": "default",
            "labels": {"app": "app", "pod-template-hash": "5d4f8c7b9"},
            "annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z", "note": "y" * 600},
        },
        "spec": {
            "containers": [app, sidecar],
            "initContainers": [init],
            "volumes": [{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
            "serviceAccountName": "default",
            "restartPolicy": "Always",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}],
        },
    }
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-%012d",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "requestResource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "default",
        "operation": "CREATE",
        "userInfo": {
            "username": "system:serviceaccount:kube-system:replicaset-controller",
            "uid": "1",
            "groups": ["a"],
        },
        "object": pod,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }
    return json.dumps({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).encode()


def _http(body: bytes) -> bytes:
    length = len(body % (0, 0, 0, 0, 0, 0))
    return (
        b"POST /mutate?timeout=3s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Accept: application/json\r\nUser-Agent: kube-apiserver\r\nContent-Length: %d\r\n\r\n" % length + body
    )


_TEMPLATE = _http(_review())
