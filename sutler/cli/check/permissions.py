"""Permissions that each service account of Sutler cannot work without, to find a grant that was lost.

The manifests grant more, and give the reason for each. Pure: no I/O.
"""

from typing import Any, NamedTuple

PATH = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class NeededPermission(NamedTuple):
    """A verb on a resource, in all namespaces or in Sutler's own."""

    verb: str
    group: str
    resource: str
    name: str = ""
    own: bool = False
    """In Sutler's own namespace only."""
    issuing: bool = False
    """Needed only if Sutler issues its certificate itself, and not cert-manager."""

    def __str__(self) -> str:
        which = f" {self.name}" if self.name else ""
        return f"{self.verb} {self.resource}{which}" + (" in its own namespace" if self.own else "")


_LIST_MAPPINGS = NeededPermission("list", "sutler.dev", "registrymappings")
_LIST_NAMESPACES = NeededPermission("list", "", "namespaces")
_CONFIGURATION = ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "sutler-webhook")

NEEDED = {
    "sutler-webhook": (
        _LIST_MAPPINGS,
        _LIST_NAMESPACES,
        NeededPermission("watch", "", "serviceaccounts"),
        NeededPermission("get", *_CONFIGURATION, issuing=True),
        NeededPermission("patch", *_CONFIGURATION, issuing=True),
        NeededPermission("update", "", "secrets", "sutler-webhook-certificate", own=True, issuing=True),
    ),
    "sutler-secrets": (
        _LIST_MAPPINGS,
        _LIST_NAMESPACES,
        NeededPermission("create", "", "secrets"),
        NeededPermission("patch", "sutler.dev", "registrymappings/status"),
        NeededPermission("update", "coordination.k8s.io", "leases", "sutler-secrets", own=True),
    ),
    "sutler-volumes": (
        NeededPermission("watch", "", "persistentvolumeclaims"),
        NeededPermission("create", "", "persistentvolumes"),
        NeededPermission("list", "storage.k8s.io", "storageclasses"),
        NeededPermission("update", "coordination.k8s.io", "leases", "sutler-volumes", own=True),
    ),
    "sutler-api": (
        NeededPermission("create", "authentication.k8s.io", "tokenreviews"),
        NeededPermission("create", "authorization.k8s.io", "subjectaccessreviews"),
    ),
}


def access_review(namespace: str, account: str, permission: NeededPermission) -> dict[str, Any]:
    """A SubjectAccessReview of whether Sutler's service account has a permission."""
    resource, _, subresource = permission.resource.partition("/")
    attributes = {"verb": permission.verb, "group": permission.group, "resource": resource}
    given = {"subresource": subresource, "name": permission.name, "namespace": namespace if permission.own else ""}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{namespace}:{account}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"],
            "resourceAttributes": attributes | {key: value for key, value in given.items() if value},
        },
    }
