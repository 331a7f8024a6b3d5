"""Conditions of a change: If-Match, the permission to force, and the claim of an image."""

import hashlib

from provisioner.api.authorization import Permission
from provisioner.api.endpoint import RequestContext
from provisioner.api.problem import ProblemError, ProblemKind
from provisioner.api.schemas.images import claim_of
from provisioner.ceph.editing import Guard
from provisioner.ceph.image_header import ImageHeader


async def require_force(context: RequestContext, resource: Permission, pool: str, *, force: bool) -> None:
    """Raises ProblemError if the request uses force without the permission for it."""
    if force and not await context.is_allowed(resource, pool):
        raise ProblemError(
            ProblemKind.FORBIDDEN,
            f"{context.user.name} has no permission to {resource} in pool {pool}: retry without force, or as an admin",
        )


def image_guard(context: RequestContext, name: str, *, force: bool, protects_claims: bool = True) -> Guard:
    """A guard that rejects another version than If-Match names, and the image of a claim unless forced."""

    def check(found: ImageHeader) -> None:
        require_version(context, name, found.version)
        claim = claim_of(found)
        if protects_claims and claim is not None and not force:
            raise ProblemError(
                ProblemKind.CLAIMED,
                f"image {name} belongs to claim {claim.namespace}/{claim.name} (volume {claim.volume}): change or "
                "delete the claim, or use force=true, which needs the permission to force images.sutler.dev",
            )

    return Guard(check)


def require_version(context: RequestContext, name: str, version: str) -> None:
    """Raises ProblemError if If-Match names other versions only."""
    if context.if_match is not None and version not in context.if_match:
        raise ProblemError(
            ProblemKind.CHANGED,
            f"{name} has changed since the client read it: its version is now {version}; read it again and retry",
            headers={"ETag": f'"{version}"'},
        )


def etag(version: str | None) -> dict[str, str]:
    return {} if version is None else {"ETag": f'"{version}"'}


def version_digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()
