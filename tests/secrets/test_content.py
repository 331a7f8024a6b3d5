"""The content from a source Secret, and the reason for a mapping's owner when there is none."""

import asyncio
import base64
import json
import threading
from typing import Any

import pytest

from provisioner.secrets.planning.content import (
    PullSecretSource,
    SourceProblem,
    UsableContent,
    content_of,
    source_entry,
)
from provisioner.secrets.planning.copy_cache import CopyCache
from provisioner.secrets.planning.state import SecretsState, mapping_entry
from sutler.registry.dockerconfig import DOCKERCFG, DOCKERCONFIGJSON
from tests.secrets import objects
from tests.secrets.objects import Json, auth, config

CANARY = "canary-4711"


def outcome(source: Json | None, *registries: str) -> UsableContent | SourceProblem:
    mapping = mapping_entry(objects.mapping("pull", registries=registries or ("quay.io",))).mapping
    assert mapping is not None
    return content_of(mapping, source_entry(source) if source else None)


def document(content: Any) -> dict[str, str]:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return {".dockerconfigjson": base64.b64encode(raw).decode()}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PROBLEMS: dict[str, tuple[Json | None, str, str]] = {
    "missing": (None, "SourceMissing", "source does not exist in Sutler's namespace"),
    "wrong type": (objects.secret("source", config(), "Opaque"), "SourceInvalid", "its type is"),
    "key absent": (objects.secret("source", {}), "SourceInvalid", "no key .dockerconfigjson"),
    "emptied": (objects.secret("source", {".dockerconfigjson": ""}), "SourceInvalid", "no key .dockerconfigjson"),
    "not JSON": (objects.secret("source", document(CANARY.encode())), "SourceInvalid", "is not JSON"),
    "not an object": (objects.secret("source", document([CANARY])), "SourceInvalid", "not a JSON object"),
    "no credentials": (objects.secret("source", document({"auths": {}})), "SourceInvalid", "holds no credentials"),
    "auth is no base64": (
        objects.secret("source", document({"auths": {"quay.io": {"auth": f"!{CANARY}!"}}})),
        "SourceInvalid",
        "auth is not base64",
    ),
    "auth without a colon": (
        objects.secret("source", document({"auths": {"quay.io": {"auth": encoded(CANARY)}}})),
        "SourceInvalid",
        "not the base64 of USER:PASSWORD",
    ),
    "of other registries only": (
        objects.secret("source", config(ghcr__io=auth("u", CANARY))),
        "SourceUnusable",
        "has no credentials for quay.io; it has: ghcr.io",
    ),
    "credential helpers only": (
        objects.secret("source", document({"credHelpers": {"quay.io": "ecr-login"}})),
        "SourceUnusable",
        "the kubelet has no credential helpers",
    ),
    "identity token beside a name": (
        objects.secret("source", document({"auths": {"quay.io": {"auth": auth("u", ""), "identitytoken": CANARY}}})),
        "SourceUnusable",
        "the kubelet can't use the entry 'quay.io': it has only identitytoken",
    ),
    "key that is a near miss": (
        objects.secret("source", config(**{"https://quay.io:443": auth("u", CANARY)})),
        "SourceUnusable",
        "its key https://quay.io:443 is a near miss",
    ),
    "auth of another registry is broken": (
        objects.secret(
            "source", document({"auths": {"quay.io": {"auth": "***"}, "ghcr.io": {"auth": auth("u", "p")}}})
        ),
        "SourceInvalid",
        "the entry 'quay.io': its auth is not base64",
    ),
    "of hundreds of registries": (
        objects.secret("source", config(**{f"r{n}__example": auth("u", CANARY) for n in range(300)})),
        "SourceUnusable",
        "it has: r0.example, r1.example, r2.example, and 297 more",
    ),
    "identity token only": (
        objects.secret("source", document({"auths": {"quay.io": {"identitytoken": CANARY}}})),
        "SourceUnusable",
        "identitytoken, which the kubelet does not use",
    ),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_unusable_source_is_explained_without_its_content(case: str) -> None:
    source, reason, text = PROBLEMS[case]
    problem = outcome(source)
    assert isinstance(problem, SourceProblem)
    assert problem.reason == reason
    assert text in problem.message
    assert CANARY not in problem.message
    assert encoded(CANARY) not in problem.message


def test_only_the_entries_that_the_registries_can_use_are_copied() -> None:
    everything = config(quay__io=auth("a", "1"), ghcr__io=auth("b", "2"), **{"quay__io/other": auth("c", "3")})
    usable = outcome(objects.secret("source", everything), "quay.io/acme", "ghcr.io")
    assert isinstance(usable, UsableContent)
    assert json.loads(usable.content.value)["auths"].keys() == {"quay.io", "ghcr.io"}


def test_the_legacy_type_stays_what_it_is() -> None:
    usable = outcome(objects.secret("source", config(DOCKERCFG, quay__io=auth("u", "p")), DOCKERCFG))
    assert isinstance(usable, UsableContent)
    assert (usable.content.type, usable.content.key) == (DOCKERCFG, ".dockercfg")
    assert json.loads(usable.content.value) == {"quay.io": {"auth": auth("u", "p")}}


def test_what_the_kubelet_ignores_is_noted_beside_what_it_uses() -> None:
    mixed = {"auths": {"quay.io": {"auth": auth("u", "p")}}, "credsStore": "desktop"}
    usable = outcome(objects.secret("source", document(mixed)))
    assert isinstance(usable, UsableContent)
    assert len(usable.notes) == 1
    assert "credsStore" in usable.notes[0]


def test_fault_in_an_entry_of_another_registry_is_noted_and_keeps_nothing_back() -> None:
    usable = outcome(
        objects.secret("source", document({"auths": {"a.b": "text", "quay.io": {"auth": auth("u", "p")}}}))
    )
    assert isinstance(usable, UsableContent)
    assert "'a.b': it is not an object" in usable.notes[0]


def test_dockers_own_tokens_reach_no_copy() -> None:
    """A mapping of *.docker.io took them along."""
    own = {f"https://index.docker.io/v1/{name}-token": {"auth": auth("acme", CANARY)} for name in ("access", "refresh")}
    mixed = {"auths": {**own, "mirror.docker.io": {"auth": auth("u", "p")}}}
    usable = outcome(objects.secret("source", document(mixed)), "*.docker.io", "docker.io")
    assert isinstance(usable, UsableContent)
    assert json.loads(usable.content.value)["auths"].keys() == {"mirror.docker.io"}
    assert "docker's own token" in usable.notes[0]


def test_credential_that_a_registry_may_refuse_is_copied_and_doubted() -> None:
    usable = outcome(objects.secret("source", config(quay__io=auth("u", f"{CANARY}\n"))))
    assert isinstance(usable, UsableContent)
    assert "line break" in usable.doubts[0]
    assert json.loads(usable.content.value)["auths"]["quay.io"]["auth"] == auth("u", f"{CANARY}\n")


def test_notes_of_hundreds_of_entries_are_few() -> None:
    many = {"auths": {**{f"r{n}.example": {} for n in range(300)}, "quay.io": {"auth": auth("u", "p")}}}
    usable = outcome(objects.secret("source", document(many)))
    assert isinstance(usable, UsableContent)
    assert "and 297 more" in usable.notes[0]
    assert len(usable.notes[0]) < 500


def test_of_secrets_that_are_no_pull_secrets_nothing_is_kept() -> None:
    kept = source_entry(objects.secret("sutler-webhook-certificate", {"ca.key": encoded(CANARY)}, "Opaque"))
    assert kept.data == {}
    assert CANARY not in repr(source_entry(objects.secret("source", config(quay__io=CANARY))))


def test_content_shows_no_secret_in_its_repr() -> None:
    usable = outcome(objects.secret("source", config(quay__io=auth("u", CANARY))))
    assert isinstance(usable, UsableContent)
    assert usable.content.type == DOCKERCONFIGJSON
    assert CANARY not in repr(usable)
    assert auth("u", CANARY) not in repr(usable)


class Recording(dict[str, str]):
    """Remembers which threads read it."""

    def __init__(self, data: dict[str, str]) -> None:
        super().__init__(data)
        self.readers: list[int] = []

    def items(self) -> Any:
        self.readers.append(threading.get_ident())
        return super().items()


async def test_content_is_worked_out_once_and_beside_the_event_loop() -> None:
    """Of a thousand keys and a thousand registries it takes longer than the lease lasts without a renewal."""
    data = Recording(config(quay__io=auth("u", "p")))
    declared = mapping_entry(objects.mapping("pull"))
    sources = {f"{objects.OWN}/source": PullSecretSource(DOCKERCONFIGJSON, data)}
    world = SecretsState(objects.OWN, {"pull": declared}, {}, sources, CopyCache({}))
    assert declared.mapping
    done = await asyncio.gather(*(world.prepare(declared.mapping) for _ in range(8)))
    assert done == [True] + 7 * [False], "who comes meanwhile comes again, and does not wait"
    assert await world.prepare(declared.mapping)
    assert isinstance(world.content(declared.mapping), UsableContent)
    assert len(data.readers) == 1
    assert data.readers != [threading.get_ident()]


async def test_content_of_a_source_that_changes_meanwhile_is_the_new_one() -> None:
    declared = mapping_entry(objects.mapping("pull"))
    sources = {f"{objects.OWN}/source": PullSecretSource(DOCKERCONFIGJSON, config(quay__io=auth("u", "old")))}
    world = SecretsState(objects.OWN, {"pull": declared}, {}, sources, CopyCache({}))
    assert declared.mapping
    preparing = asyncio.create_task(world.prepare(declared.mapping))
    await asyncio.sleep(0)
    sources[f"{objects.OWN}/source"] = PullSecretSource(DOCKERCONFIGJSON, config(quay__io=auth("u", "new")))
    await preparing
    content = world.content(declared.mapping)
    assert isinstance(content, UsableContent)
    assert base64.b64encode(b"u:new").decode() in content.content.value.decode()
