"""Plans the import of a docker config: entries that can be imported, and why others cannot. Pure: no I/O."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sutler.cli.config_forms import Config, parse_configs
from sutler.cli.exit_codes import UsageError
from sutler.cli.files import display_name
from sutler.cli.registry.registry_names import RegistryServer, UnusableServerError, parse_server
from sutler.registry.auth_entry import AuthEntry, SkippedEntry
from sutler.registry.dockerconfig import DOCKERCONFIGJSON, SourceError, read_config
from sutler.registry.go_json import GoObject, load
from sutler.registry.key_coverage import RegistryCoverage
from sutler.registry.keyring import parse_key, without_user
from sutler.typedefs import Json

_MAX_KEYS = 3
"""Keys that the advice names."""
_ecr = re.compile(r"(?:^|\.)dkr[.-]ecr[.-]|^public\.ecr\.aws|^ecr-public\.").search
_SHORT_LIVED = {
    b"oauth2accesstoken": "an hour",
    b"_token": "an hour",
    b"_dcgcloud_token": "an hour",
    b"00000000-0000-0000-0000-000000000000": "some hours",
    b"cr_temp_user": "an hour",
    b"iambearer": "an hour",
    b"gitlab-ci-token": "as long as its CI job",
}
"""How long a password lasts, by the user name with which tools of clouds log in."""
_SHORT_LIVED_PREFIXES = {
    b"ghs_": "as long as its CI job",
    b"glcbt-": "as long as its CI job",
    b"ya29.": "an hour",
    b"t1.9eue": "12 hours",
    b"sha256~": "a day",
}
"""The same by how the password begins, for any user name: GitHub, GitLab, Google, Yandex, OpenShift."""


class ImportEntry(NamedTuple):
    server: str
    entry: AuthEntry
    note: str
    """What was changed, or may not work; mostly empty."""


class SkipEntry(NamedTuple):
    """An entry that cannot be imported."""

    key: str
    why: str
    is_addable: bool = False
    """`sutler registry add` could add it, with a password from elsewhere."""


@dataclass(frozen=True)
class ImportPlan:
    """What to do with each entry of a docker config."""

    entries: tuple[ImportEntry, ...]
    skipped: tuple[SkipEntry, ...]

    def without(self, refused: Mapping[str, str]) -> "ImportPlan":
        """The plan with entries skipped that the cluster refused; `refused` has the reasons by server."""
        return ImportPlan(
            tuple(each for each in self.entries if each.server not in refused),
            (
                *self.skipped,
                *(SkipEntry(each.entry.key, refused[each.server]) for each in self.entries if each.server in refused),
            ),
        )


def parse_import(text: str, name: str) -> ImportPlan:
    """The plan for the text of a file. Raises UsageError, which quotes nothing of it."""
    entries: dict[str, ImportEntry] = {}
    skipped: list[SkipEntry] = []
    for config in parse_configs(text, name):
        try:
            read = read_config(*config)
        except SourceError as error:
            raise UsageError(f"{display_name(name)}: {error}. Nothing was imported") from error
        helpers = _Helpers.parse(config)
        skipped += helpers.unlisted(read.keys)
        skipped += (SkipEntry(each.key, helpers.reason(each), each.password_elsewhere) for each in read.left)
        for entry in read.entries:
            _add_entry(entry, entries, skipped)
        if helpers.store and not (read.keys or helpers.by_key):
            skipped.append(
                SkipEntry("credsStore", f"the credential helper {helpers.store} has all passwords, not this file")
            )
    return ImportPlan(tuple(entries.values()), tuple(skipped))


def _add_entry(entry: AuthEntry, entries: dict[str, ImportEntry], skipped: list[SkipEntry]) -> None:
    """Adds an entry. Of two for the same registry, it keeps the one that the kubelet prefers."""
    try:
        server = parse_server(entry.key)
    except UnusableServerError as error:
        skipped.append(SkipEntry(entry.key, str(error)))
        return
    new = ImportEntry(server.text, entry.unbroken, _note(entry, server))
    old = entries.get(server.text)
    if old is None:
        entries[server.text] = new
        return
    first, second = (new, old) if _rank(new) < _rank(old) else (old, new)
    if (first.entry.username, first.entry.password) == (second.entry.username, second.entry.password):
        same = f"{second.entry.key} is the same registry, with the same credential"
        first = first._replace(note="; ".join(filter(None, (first.note, same))))
    else:
        why = f"it is also {server.text}, for which the credential of {first.entry.key} is used"
        skipped.append(SkipEntry(second.entry.key, why))
    entries[server.text] = first


def _rank(each: ImportEntry) -> int:
    """Lower for keys that the kubelet prefers, highest for keys that it does not use for these images."""
    key = parse_key(each.entry.key)
    if key.is_fallback:
        return 1
    return 0 if RegistryCoverage.parsed([each.server]).served_by(key) else 2


def _note(entry: AuthEntry, server: RegistryServer) -> str:
    whole = entry.unbroken
    broken = "" if whole is entry else "the line break around its user name or password was removed"
    notes = [server.note, broken, whole.doubt, short_lived(whole.username, server.text, whole.password)]
    return "; ".join(filter(None, notes))


def short_lived(username: bytes, server: str, password: bytes) -> str:
    """A note on a credential that expires, because a tool of a cloud created it; mostly empty."""
    lasts = "12 hours" if username == b"AWS" and _ecr(server) else _SHORT_LIVED.get(username)
    lasts = lasts or next((time for start, time in _SHORT_LIVED_PREFIXES.items() if password.startswith(start)), None)
    return (
        f"its password is a token that expires after {lasts}: renew it in time, or use one that does not expire"
        if lasts
        else ""
    )


def as_json(found: ImportPlan, added: Sequence[Json]) -> Json:
    return {
        "found": [{"key": each.entry.key, "server": each.server, "note": each.note or None} for each in found.entries],
        "added": list(added),
        "left": [{"key": each.key, "why": each.why} for each in found.skipped],
    }


def as_text(found: ImportPlan, added: Mapping[str, str]) -> str:
    """`added` has the results by server."""
    lines = []
    for each in found.entries:
        lines.append(added.get(each.server) or f"{each.server}: can be imported")
        lines += [f"  Note: {each.note}"] if each.note else []
    lines += [f"{each.key}: skipped: {each.why}" for each in found.skipped]
    addable = [each.key for each in found.skipped if each.is_addable]
    if addable:
        some = ", ".join(addable[:_MAX_KEYS]) + (
            f" and {len(addable) - _MAX_KEYS} more" if len(addable) > _MAX_KEYS else ""
        )
        which = "" if len(addable) == len(found.skipped) else f", for {some}"
        lines.append(f"  To add with a password{which}: sutler registry add SERVER --username NAME --password-stdin")
    return "\n".join(lines) or "The file has no registries."


@dataclass(frozen=True)
class _Helpers:
    """The credential helpers of a docker config, which have the passwords that the file lacks."""

    store: str
    """The helper for all registries (credsStore); empty if there is none."""
    by_key: Mapping[str, str]
    """Helpers by key (credHelpers)."""

    @classmethod
    def parse(cls, config: Config) -> "_Helpers":
        kind, content = config
        document = load(content)
        if kind != DOCKERCONFIGJSON or not isinstance(document, GoObject):
            return cls("", {})
        by_key = {
            key: _program(value)
            for found in document.values("credhelpers")
            if isinstance(found, GoObject)
            for key, value in found.pairs
        }
        stores = [_program(value) for value in document.values("credsstore") if value]
        return cls(stores[-1] if stores else "", by_key)

    def unlisted(self, keys: Collection[str]) -> Iterator[SkipEntry]:
        """Keys that have a helper and no entry in auths."""
        for key, program in self.by_key.items():
            if key not in keys:
                yield SkipEntry(without_user(key), _in_helper(program), is_addable=True)

    def reason(self, left: SkippedEntry) -> str:
        program = self.by_key.get(left.key) or self.store
        return _in_helper(program) if program and left.empty else left.why


def _program(value: object) -> str:
    return f"docker-credential-{value}" if isinstance(value, str) and value.isprintable() else "a credential helper"


def _in_helper(program: str) -> str:
    return f"its password is in the credential helper {program}, not in this file"
