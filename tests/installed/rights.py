"""What accounts may do and what they did, in the same terms: pure."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

Json = dict[str, Any]

PREFIX = "system:serviceaccount:sutler-system:"


class Right(NamedTuple):
    """One verb of one rule."""

    account: str
    binding: str
    """Kind, name and namespace of what gives it, as the API server's audit log has them."""
    verb: str
    resource: str
    """With the group and the subresource: secrets, registrymappings.sutler.dev/status."""
    names: tuple[str, ...] = ()
    """Empty: all."""


class Use(NamedTuple):
    account: str
    binding: str
    verb: str
    resource: str
    name: str

    def of(self, right: Right) -> bool:
        return self[:4] == right[:4] and (not right.names or self.name in right.names)


def granted(objects: list[Json]) -> list[Right]:
    """What the bindings among these objects give to Sutler's accounts."""
    roles = {(one["kind"], _namespace(one), one["metadata"]["name"]): one for one in objects if "rules" in one}
    return [
        Right(subject["name"], _binding(one), verb, _resource(group, resource), tuple(rule.get("resourceNames", ())))
        for one in objects
        if one["kind"] in {"RoleBinding", "ClusterRoleBinding"}
        for subject in one["subjects"]
        for rule in roles[one["roleRef"]["kind"], _namespace(one), one["roleRef"]["name"]]["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def entries(log: Iterable[str]) -> Iterator[Json]:
    """Of Sutler's accounts."""
    for line in log:
        entry = json.loads(line)
        if entry["user"]["username"].startswith(PREFIX):
            yield entry


def refused(log: Iterable[Json]) -> list[str]:
    return [
        f"{entry['user']['username']} {entry['verb']} {entry['requestURI']}"
        for entry in log
        if entry["annotations"].get("authorization.k8s.io/decision") != "allow"
    ]


def used(log: Iterable[Json]) -> set[Use]:
    found = set()
    for entry in log:
        about = entry.get("objectRef", {})
        resource = _resource(about.get("apiGroup", ""), about.get("resource", entry["requestURI"]))
        if "subresource" in about:
            resource += f"/{about['subresource']}"
        account = entry["user"]["username"].removeprefix(PREFIX)
        reason = entry["annotations"].get("authorization.k8s.io/reason", "")
        # RBAC: allowed by RoleBinding "NAME/NAMESPACE" of Role "NAME" to ServiceAccount "NAME/NAMESPACE"
        binding = reason.removeprefix("RBAC: allowed by ").partition(" of ")[0].replace('"', "")
        found.add(Use(account, binding, entry["verb"], resource, about.get("name", "")))
    return found


def _resource(group: str, resource: str) -> str:
    plural, slash, subresource = resource.partition("/")
    return f"{plural}.{group}{slash}{subresource}" if group else resource


def _binding(one: Json) -> str:
    name = one["metadata"]["name"]
    return f"RoleBinding {name}/{_namespace(one)}" if one["kind"] == "RoleBinding" else f"{one['kind']} {name}"


def _namespace(one: Json) -> str:
    return str(one["metadata"].get("namespace", ""))
