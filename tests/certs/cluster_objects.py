"""The two objects of a cluster that hold the webhook's CA and certificate."""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from certs.rotation import CertificateSecret
from tests.cluster import ControlPlane

Json = dict[str, Any]

SECRET = "sutler-webhook-certificate"


@dataclass
class Stored:
    """The two objects that hold the certificate and the CA."""

    control_plane: ControlPlane

    def secret(self) -> Json:
        found: Json = self.control_plane.kubectl_json("get", "secret", SECRET, "-n", "sutler-system")
        return found

    def contents(self) -> CertificateSecret:
        data = self.secret().get("data") or {}
        return CertificateSecret.from_data({key: base64.b64decode(value) for key, value in data.items()})

    def put(self, contents: CertificateSecret) -> None:
        self.patch({key: base64.b64encode(value).decode() for key, value in contents.to_data().items()})

    def patch(self, data: Mapping[str, str | None] | None) -> None:
        self.control_plane.kubectl(
            "patch", "secret", SECRET, "-n", "sutler-system", "--type=merge", "-p", json.dumps({"data": data})
        )

    def configuration(self) -> Json:
        found: Json = self.control_plane.kubectl_json("get", "mutatingwebhookconfiguration", "sutler-webhook")
        return found

    def bundles(self) -> list[bytes]:
        webhooks = self.configuration()["webhooks"]
        return [base64.b64decode(webhook["clientConfig"].get("caBundle", "")) for webhook in webhooks]


def configuration() -> Json:
    """Two webhooks, to see that both are served. They select nothing: no Pod of another test waits for them."""
    nothing = {"matchLabels": {"sutler.dev/none": secrets.token_hex(4)}}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "sutler-webhook", "labels": {"keep": "me"}},
        "webhooks": [
            {
                "name": f"{name}.sutler.dev",
                "clientConfig": {"url": "https://127.0.0.1:9/mutate"},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Ignore",
                "namespaceSelector": nothing,
            }
            for name in ("inject", "warn")
        ],
    }
