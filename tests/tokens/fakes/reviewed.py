"""What a cloud does that trusts the cluster's OIDC issuer: it believes a token that the API server believes."""

import base64
import json
from collections.abc import Callable
from typing import Any

from tests.cluster import ControlPlane
from tests.tokens.fakes.jwt import Refused

_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"


def reviewed_by(control_plane: ControlPlane, account: str) -> Callable[[str, str, str], dict[str, Any]]:
    """For `FakeCloud.trusted`: tokens of the ServiceAccount `namespace:name`, made out to the cloud's audience."""

    def reviewed(token: str, audience: str, code: str) -> dict[str, Any]:
        kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        review = {**kind, "spec": {"token": token, "audiences": [audience]}}
        status = control_plane.request("POST", _REVIEWS, review)["status"]
        user = status.get("user", {}).get("username")
        if not status.get("authenticated") or user != f"system:serviceaccount:{account}":
            raise Refused(400, code)
        payload = token.split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims

    return reviewed
