"""Users, permissions and roles of the REST API."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from provisioner.api.problem import ProblemError, ProblemKind

GROUP = "sutler.dev"

Verb = Literal["get", "list", "create", "update", "delete", "force"]
ResourceKind = Literal["pools", "images", "registrymappings"]


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission of RBAC: a verb on a resource of the group sutler.dev. `resourceNames` are names of pools."""

    resource: ResourceKind
    verb: Verb

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}.{GROUP}"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    role: "Role | None" = None
    """The role of a user of the token file. RBAC grants the permissions of users of Kubernetes."""


class Role(StrEnum):
    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"


# The same as the ClusterRoles sutler-api-viewer, -editor and -admin in the manifests.
ROLES: Mapping[Role, Mapping[ResourceKind, frozenset[Verb]]] = {
    Role.VIEWER: {
        "pools": frozenset({"get", "list"}),
        "images": frozenset({"get", "list"}),
        "registrymappings": frozenset({"list"}),
    },
    Role.EDITOR: {
        "pools": frozenset({"get", "list"}),
        "images": frozenset({"get", "list", "create", "update", "delete"}),
        "registrymappings": frozenset({"list"}),
    },
    Role.ADMIN: {
        "pools": frozenset({"get", "list", "create", "update", "delete", "force"}),
        "images": frozenset({"get", "list", "create", "update", "delete", "force"}),
        "registrymappings": frozenset({"list"}),
    },
}


class Access(Protocol):
    """Authenticates tokens and authorizes users."""

    async def authenticate(self, token: str) -> User | None:
        """The user with this token; None for an unknown or expired token."""

    async def is_allowed(self, user: User, permission: Permission, pool: str | None) -> bool:
        """`pool`: None for a request about all pools."""


CHALLENGE = {"WWW-Authenticate": 'Bearer realm="sutler", Basic realm="sutler: any name, the token as password"'}


def unauthenticated_problem(why: str) -> ProblemError:
    return ProblemError(
        ProblemKind.UNAUTHENTICATED,
        why,
        accepted="Authorization: Bearer TOKEN, a token of a Kubernetes ServiceAccount or user, or of the token file",
        headers=CHALLENGE,
    )


def forbidden_problem(user: User, permission: Permission, pool: str | None) -> ProblemError:
    where = f" in pool {pool}" if pool else ""
    if user.role is not None:
        way_out = f"its role is {user.role}; set the role {_least_role(permission)} in the token file"
    else:
        way_out = (
            f"bind the ClusterRole sutler-api-{_least_role(permission)} to it, or another role with this permission"
        )
    return ProblemError(ProblemKind.FORBIDDEN, f"{user.name} has no permission to {permission}{where}: {way_out}")


def _least_role(permission: Permission) -> Role:
    return next(role for role, rights in ROLES.items() if permission.verb in rights[permission.resource])
