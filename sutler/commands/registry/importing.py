"""What of a docker config can be brought into the cluster, and what can't. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sutler.commands.registry.servers import UnusableServerError, server_of_key
from sutler.output import UsageError
from sutler.registry.dockerconfig import DOCKERCFG, DOCKERCONFIGJSON, DockerConfig, Entry, SourceError, parse_config


class Bring(NamedTuple):
    server: str
    entry: Entry
    note: str


class Leave(NamedTuple):
    key: str
    why: str


@dataclass(frozen=True)
class Import:
    bring: tuple[Bring, ...]
    leave: tuple[Leave, ...]

    def without(self, refused: Mapping[str, str]) -> "Import":
        """With those left that could not be brought after all: by server, why."""
        return Import(
            tuple(each for each in self.bring if each.server not in refused),
            (
                *self.leave,
                *(Leave(each.entry.key, refused[each.server]) for each in self.bring if each.server in refused),
            ),
        )


def read_config(content: str, name: str) -> Import:
    """From the text of a config.json or a .dockercfg. Raises UsageError, which quotes nothing of it."""
    try:
        document = json.loads(content)
    except ValueError as error:
        raise UsageError(f"{name} is not JSON: {error}") from None
    except RecursionError:
        raise UsageError(f"{name} is nested too deeply, no docker config is") from None
    if not isinstance(document, dict):
        raise UsageError(f"{name} is not a JSON object, as docker's config.json is")
    modern = "auths" in document or "credsStore" in document or "credHelpers" in document
    try:
        config = parse_config(DOCKERCONFIGJSON if modern else DOCKERCFG, content.encode())
    except SourceError as error:
        raise UsageError(f"{name}: {error}. Nothing was imported") from error
    return _sorted_out(config, document if modern else {"auths": document})


def _sorted_out(config: DockerConfig, document: dict[str, Any]) -> Import:
    bring: dict[str, Bring] = {}
    leave = list(_without_password(config, document))
    for entry in config.entries:
        try:
            server, note = server_of_key(entry.key)
        except UnusableServerError as error:
            leave.append(Leave(entry.key, str(error)))
            continue
        if server in bring:
            leave.append(Leave(entry.key, f"it is {server}, which {bring[server].entry.key} is already"))
        else:
            bring[server] = Bring(server, entry, note)
    return Import(tuple(bring.values()), tuple(leave))


def _without_password(config: DockerConfig, document: dict[str, Any]) -> Iterator[Leave]:
    """Registries whose password is not in the file."""
    store, helpers = document.get("credsStore"), document.get("credHelpers")
    helpers = helpers if isinstance(helpers, dict) else {}
    there = {entry.key for entry in config.entries}
    auths = document.get("auths") or {}
    for key, helper in helpers.items():
        if key not in there:
            yield Leave(key, f"its password is kept by the program docker-credential-{helper}, not in this file")
    for key, value in auths.items():
        if key in there or key in helpers:
            continue
        fields = value if isinstance(value, dict) else {}
        if fields.get("identitytoken") or fields.get("registrytoken"):
            yield Leave(key, "it has a token that only docker can use; the kubelet needs a user name and a password")
        elif store:
            yield Leave(key, f"its password is kept by the program docker-credential-{store}, not in this file")
        else:
            yield Leave(key, "it has no user name and no password, or is no registry")
