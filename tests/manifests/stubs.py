"""The kinds of cert-manager and of the Prometheus operator, as far as our manifests use them.

Neither is in Debian, so their own definitions are not there. These hold every field that we write, typed and required
as theirs, and nothing else: an API server drops what they do not list, which the test sees.
"""

from typing import Any

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_TEXTS: Json = {"type": "array", "items": _TEXT}
_LABELS: Json = {"type": "object", "additionalProperties": _TEXT}
_DURATION: Json = {"type": "string", "pattern": r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"}


def _object(*required: str, **properties: Json) -> Json:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


_REFERENCE = _object("name", group=_TEXT, kind=_TEXT, name=_TEXT)
_KEY = _object(
    algorithm={"type": "string", "enum": ["RSA", "ECDSA", "Ed25519"]},
    size={"type": "integer"},
    rotationPolicy={"type": "string", "enum": ["Never", "Always"]},
)
_CERTIFICATE = _object(
    "issuerRef",
    "secretName",
    isCA={"type": "boolean"},
    commonName=_TEXT,
    secretName=_TEXT,
    dnsNames=_TEXTS,
    duration=_DURATION,
    renewBefore=_DURATION,
    usages=_TEXTS,
    privateKey=_KEY,
    issuerRef=_REFERENCE,
)
_ISSUER = _object(selfSigned=_object(), ca=_object("secretName", secretName=_TEXT))
_RELABELING = _object(sourceLabels=_TEXTS, targetLabel=_TEXT)
_ENDPOINT = _object(port=_TEXT, path=_TEXT, interval=_DURATION, relabelings=_list(_RELABELING))
_POD_MONITOR = _object("selector", selector=_object(matchLabels=_LABELS), podMetricsEndpoints=_list(_ENDPOINT))
_RULE = _object("expr", alert=_TEXT, expr=_TEXT, labels=_LABELS, annotations=_LABELS, **{"for": _DURATION})
_RULES = _object(groups=_list(_object("name", name=_TEXT, rules=_list(_RULE))))


def definitions() -> list[Json]:
    return [
        _definition("cert-manager.io", "Certificate", _CERTIFICATE),
        _definition("cert-manager.io", "Issuer", _ISSUER),
        _definition("monitoring.coreos.com", "PodMonitor", _POD_MONITOR),
        _definition("monitoring.coreos.com", "PrometheusRule", _RULES),
    ]


def _definition(group: str, kind: str, spec: Json) -> Json:
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": _object("spec", spec=spec)}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
