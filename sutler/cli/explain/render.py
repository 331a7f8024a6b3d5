"""The output of `sutler explain`. It shows keys and names only: even a user name may be a credential. Pure: no I/O."""

from typing import Any

from sutler.cli.explain.explanation import ExplainedSecret, Explanation, MappingMatch, SecretMiss
from sutler.cli.output import one_line
from sutler.registry.explain import CredentialTry

_INDENT = 14
_MAX_ELSEWHERE = 5
"""Near misses shown for other paths of the registry, of which there may be hundreds."""


def as_json(found: Explanation) -> dict[str, Any]:
    return {
        "image": found.use.image,
        "name": found.image.name if found.image else None,
        "pod": found.pod.what or None,
        "where": found.use.where or None,
        "namespace": found.pod.namespace,
        "mappings": [
            {
                "name": match.mapping.name,
                "registry": match.registry,
                "secret": match.mapping.secret,
                "injected": not match.withheld,
                "why": match.withheld or None,
            }
            for match in found.matches
        ],
        "pullSecrets": [
            {
                "name": secret.name,
                "origin": secret.origin,
                "state": _state(secret),
                "why": secret.info.problem or secret.info.note or None,
                "keys": list(secret.info.keys),
                "ignored": list(secret.info.ignored),
                "doubts": list(secret.info.doubts),
                "token": _token_json(secret),
            }
            for secret in found.secrets
        ],
        "tries": [
            {"key": each.key, "secret": each.secret, "fallback": each.fallback, "note": each.note or None}
            for each in found.tries
        ],
        "nearMisses": [
            {"of": miss.owner, "text": miss.near.text, "why": miss.near.why, "write": miss.near.write or None}
            for miss in found.near_misses
        ],
        "problems": found.problems,
    }


def as_text(found: Explanation) -> str:
    lines = [one_line(found.use.image)]
    place = f"namespace {found.pod.namespace}"
    lines += _section(
        "for", [f"{found.use.where} of {found.pod.what}, {place}" if found.pod.what else f"a Pod in {place}"]
    )
    if found.image:
        lines += _section("parsed as", [found.image.name])
        lines += _section("mappings", [_match(match) for match in found.matches] or ["no mapping matches"])
        lines += _section("pull secrets", [_secret(secret) for secret in found.secrets] or ["none"])
        lines += _section(
            "tried", [f"{n}. {_try(each)}" for n, each in enumerate(found.tries, 1)] or [_nothing_tried(found)]
        )
        lines += _section("near misses", _misses(found.near_misses))
    lines += _section("problem", found.problems)
    return "\n".join(lines)


def _section(name: str, items: list[str]) -> list[str]:
    return [f"  {name if not n else '':<{_INDENT}}{one_line(item)}" for n, item in enumerate(items)]


def _match(match: MappingMatch) -> str:
    what = f"{match.mapping.name}, matches by {match.registry}"
    if match.withheld:
        return f"{what}: not injected: {match.withheld}"
    return f"{what}: Secret {match.mapping.secret} is injected"


def _secret(secret: ExplainedSecret) -> str:
    state = {"ok": "", "missing": " is missing", "unusable": " is unusable", "unknown": " is unknown"}[_state(secret)]
    why = f": {secret.info.problem}" if secret.info.problem else ""
    note = f" ({secret.info.note})" if secret.info.note else ""
    ignored = f"; ignored entries: {'; '.join(secret.info.ignored)}" if secret.info.ignored else ""
    doubts = f"; doubtful entries: {'; '.join(secret.info.doubts)}" if secret.info.doubts else ""
    token = secret.info.token
    ends = f"; RegistryToken {token.token} keeps its password until {token.expires_at or '-'}" if token else ""
    return f"{secret.name}, from {secret.origin}{state}{why}{note}{ends}{ignored}{doubts}"


def _token_json(secret: ExplainedSecret) -> dict[str, Any] | None:
    token = secret.info.token
    return {"name": token.token, "expiresAt": token.expires_at or None} if token else None


def _state(secret: ExplainedSecret) -> str:
    if secret.info.config:
        return "ok"
    if secret.info.unknown:
        return "unknown"
    return "missing" if secret.info.missing else "unusable"


def _try(each: CredentialTry) -> str:
    fallback = " (Docker Hub's default key, because no other key matches)" if each.fallback else ""
    note = f": {each.note}" if each.note else ""
    return f"{each.key} of {each.secret}{fallback}{note}"


def _nothing_tried(found: Explanation) -> str:
    if any(secret.info.unknown for secret in found.secrets):
        return "unknown, because the Secrets could not be read"
    return "no credentials: the image is pulled anonymously, which works only for public images"


def _misses(misses: list[SecretMiss]) -> list[str]:
    near = [_miss(miss) for miss in misses if not miss.near.elsewhere]
    elsewhere = [_miss(miss) for miss in misses if miss.near.elsewhere]
    more = len(elsewhere) - _MAX_ELSEWHERE
    return [
        *near,
        *elsewhere[:_MAX_ELSEWHERE],
        *([f"and {more} more for other paths of the registry"] if more > 0 else []),
    ]


def _miss(miss: SecretMiss) -> str:
    write = f"; write {miss.near.write}" if miss.near.write else ""
    return f"{miss.owner}, {miss.near.text}: {miss.near.why}{write}"
