"""How an explanation is shown. Keys and names only: even a user name may be a credential (tokens often are)."""

from typing import Any

from sutler.cli.explain.explanation import ExplainedSecret, Explanation, MappingMatch, SecretMiss
from sutler.cli.output import one_line
from sutler.registry.explain import CredentialTry

_INDENT = 14
_ELSEWHERE = 5


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
                "why": secret.held.problem or secret.held.note or None,
                "keys": list(secret.held.keys),
                "ignored": list(secret.held.ignored),
                "doubts": list(secret.held.doubts),
            }
            for secret in found.secrets
        ],
        "tries": [
            {"key": each.key, "secret": each.secret, "fallback": each.fallback, "note": each.note or None}
            for each in found.tries
        ],
        "nearMisses": [
            {"of": miss.owner, "text": miss.near.text, "why": miss.near.why, "write": miss.near.write or None}
            for miss in found.misses
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
        lines += _section("read as", [found.image.name])
        lines += _section("mappings", [_match(match) for match in found.matches] or ["none matches"])
        lines += _section("pull secrets", [_secret(secret) for secret in found.secrets] or ["none"])
        lines += _section(
            "tried", [f"{n}. {_try(each)}" for n, each in enumerate(found.tries, 1)] or [_nothing_tried(found)]
        )
        lines += _section("near misses", _misses(found.misses))
    lines += _section("problem", found.problems)
    return "\n".join(lines)


def _section(name: str, items: list[str]) -> list[str]:
    return [f"  {name if not n else '':<{_INDENT}}{one_line(item)}" for n, item in enumerate(items)]


def _match(match: MappingMatch) -> str:
    what = f"{match.mapping.name}, by {match.registry}"
    if match.withheld:
        return f"{what}: not injected, {match.withheld}"
    return f"{what}: Secret {match.mapping.secret} is injected"


def _secret(secret: ExplainedSecret) -> str:
    state = {"ok": "", "missing": " is missing", "unusable": " can't be used", "unknown": " is not known"}[
        _state(secret)
    ]
    why = f": {secret.held.problem}" if secret.held.problem else ""
    note = f" ({secret.held.note})" if secret.held.note else ""
    ignored = f"; of no use in it: {'; '.join(secret.held.ignored)}" if secret.held.ignored else ""
    doubts = f"; doubtful: {'; '.join(secret.held.doubts)}" if secret.held.doubts else ""
    return f"{secret.name}, from {secret.origin}{state}{why}{note}{ignored}{doubts}"


def _state(secret: ExplainedSecret) -> str:
    if secret.held.config:
        return "ok"
    if secret.held.unknown:
        return "unknown"
    return "missing" if secret.held.missing else "unusable"


def _try(each: CredentialTry) -> str:
    fallback = " (Docker Hub's own key, since nothing else matches)" if each.fallback else ""
    note = f": {each.note}" if each.note else ""
    return f"{each.key} of {each.secret}{fallback}{note}"


def _nothing_tried(found: Explanation) -> str:
    if any(secret.held.unknown for secret in found.secrets):
        return "not known, without the Secrets' keys"
    return "nothing: it is pulled without credentials, which does for public images only"


def _misses(misses: list[SecretMiss]) -> list[str]:
    """Of other paths of the registry, which there may be hundreds of, a few are enough."""
    near = [_miss(miss) for miss in misses if not miss.near.elsewhere]
    elsewhere = [_miss(miss) for miss in misses if miss.near.elsewhere]
    more = len(elsewhere) - _ELSEWHERE
    return [*near, *elsewhere[:_ELSEWHERE], *([f"and {more} more for other paths of the registry"] if more > 0 else [])]


def _miss(miss: SecretMiss) -> str:
    write = f"; write {miss.near.write}" if miss.near.write else ""
    return f"{miss.owner}, {miss.near.text}: {miss.near.why}{write}"
