"""The objects that a registry with a token needs: Secret, Role, RoleBinding, ServiceAccount, RegistryToken. Pure."""

import base64
from dataclasses import dataclass

from sutler import well_known
from sutler.cli.exit_codes import RefusedError
from sutler.cli.registry.plan import PART_OF
from sutler.registry.dockerconfig import DATA_KEYS, DOCKERCONFIGJSON
from sutler.typedefs import Json

TOKENS_ACCOUNT = "sutler-tokens"
_EMPTY = base64.b64encode(b'{"auths":{}}').decode()


@dataclass(frozen=True)
class TokenObjects:
    """For one RegistryToken, which is called as its mapping."""

    name: str
    namespace: str
    spec: Json

    @property
    def secret_name(self) -> str:
        return str(self.spec["secretName"])

    @property
    def role_name(self) -> str:
        return f"sutler-token-{self.name}"

    @property
    def account(self) -> str:
        """The ServiceAccount that is named; empty: none is."""
        return str(self._identity.get("serviceAccountName", ""))

    @property
    def _identity(self) -> Json:
        blocks = [value for key, value in self.spec.items() if key not in {"secretName", "registries"}]
        found: Json = blocks[0].get("identity") or {}
        return found

    def token(self) -> Json:
        metadata = {"name": self.name, "labels": self._labels}
        return {"apiVersion": "sutler.dev/v1alpha1", "kind": "RegistryToken", "metadata": metadata, "spec": self.spec}

    def secret(self) -> Json:
        """Empty, for the tokens process to fill: it may create none."""
        metadata = self._metadata(self.secret_name)
        metadata["labels"] = {**self._labels, well_known.TOKEN: self.name}
        data = {DATA_KEYS[DOCKERCONFIGJSON]: _EMPTY}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": DOCKERCONFIGJSON, "data": data}

    def service_account(self) -> Json:
        return {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": self.account, "namespace": self.namespace, "labels": PART_OF},
        }

    def role(self) -> Json:
        """What the tokens process may do for this token: these names, and nothing else."""
        rules = [_rule("secrets", self.secret_name, "get", "patch")]
        if key := self._identity.get("secretName"):
            rules.append(_rule("secrets", str(key), "get"))
        if self.account:
            rules.append(_rule("serviceaccounts/token", self.account, "create"))
        return {**_rbac("Role"), "metadata": self._metadata(self.role_name), "rules": rules}

    def role_binding(self) -> Json:
        return {
            **_rbac("RoleBinding"),
            "metadata": self._metadata(self.role_name),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": self.role_name},
            "subjects": [{"kind": "ServiceAccount", "name": TOKENS_ACCOUNT, "namespace": self.namespace}],
        }

    def manifests(self) -> list[Json]:
        """All of them, in the order in which they are made."""
        account = [self.service_account()] if self.account else []
        return [*account, self.role(), self.role_binding(), self.secret(), self.token()]

    def secret_patch(self, secret: Json) -> Json | None:
        """Hands a Secret that is there over to the token; what it holds stays until the first refresh.

        None: it is the token's already. Raises RefusedError for one that this command did not make.
        """
        labels = secret["metadata"].get("labels") or {}
        if labels.get(well_known.TOKEN) == self.name and secret.get("type") == DOCKERCONFIGJSON:
            return None
        where = f"Secret {self.namespace}/{self.secret_name}"
        if (
            labels.get(well_known.SOURCE_OF) != self.name
            or secret.get("type") != DOCKERCONFIGJSON
            or secret.get("immutable")
        ):
            raise RefusedError(
                f"{where} exists, and it was not created by this command, has another type, or is immutable. So it is "
                "kept. Choose another name with --name, or delete it"
            )
        return {
            "metadata": {
                "resourceVersion": secret["metadata"]["resourceVersion"],
                "labels": {well_known.TOKEN: self.name},
            }
        }

    def _metadata(self, name: str) -> Json:
        return {"name": name, "namespace": self.namespace, "labels": self._labels}

    @property
    def _labels(self) -> Json:
        return {**PART_OF, well_known.SOURCE_OF: self.name}


def _rule(resource: str, name: str, *verbs: str) -> Json:
    return {"apiGroups": [""], "resources": [resource], "resourceNames": [name], "verbs": list(verbs)}


def _rbac(kind: str) -> Json:
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind}
