"""What of a docker config can be brought into the cluster, and what can't. Pure."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sutler.cli.config_forms import Config, configs_in
from sutler.cli.files import called
from sutler.cli.output import UsageError
from sutler.cli.registry.registry_names import RegistryServer, UnusableServerError, server_of_key
from sutler.registry.auth_entry import AuthEntry, SkippedEntry
from sutler.registry.dockerconfig import DOCKERCONFIGJSON, SourceError, read_config
from sutler.registry.go_json import GoObject, load
from sutler.registry.key_coverage import RegistryCoverage
from sutler.registry.keyring import parse_key, without_user
from sutler.typedefs import Json

_NAMED = 3
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
"""User names by which clouds' own tools log in, and how long their passwords last."""
_PASSING = {
    b"ghs_": "as long as its CI job",
    b"glcbt-": "as long as its CI job",
    b"ya29.": "an hour",
    b"t1.9eue": "12 hours",
    b"sha256~": "a day",
}
"""What such passwords begin with, by any user name: GitHub, GitLab, Google, Yandex, OpenShift."""


class ImportEntry(NamedTuple):
    server: str
    entry: AuthEntry
    note: str


class SkipEntry(NamedTuple):
    key: str
    why: str
    addable: bool = False
    """With a password from elsewhere `registry add` could bring it."""


@dataclass(frozen=True)
class ImportPlan:
    bring: tuple[ImportEntry, ...]
    leave: tuple[SkipEntry, ...]

    def without(self, refused: Mapping[str, str]) -> "ImportPlan":
        """With those left that could not be brought after all: by server, why."""
        return ImportPlan(
            tuple(each for each in self.bring if each.server not in refused),
            (
                *self.leave,
                *(SkipEntry(each.entry.key, refused[each.server]) for each in self.bring if each.server in refused),
            ),
        )


def read_import(text: str, name: str) -> ImportPlan:
    """From the text of a file. Raises UsageError, which quotes nothing of it."""
    bring: dict[str, ImportEntry] = {}
    leave: list[SkipEntry] = []
    for config in configs_in(text, name):
        try:
            read = read_config(*config)
        except SourceError as error:
            raise UsageError(f"{called(name)}: {error}. Nothing was imported") from error
        helpers = _Helpers.of(config)
        leave += helpers.unlisted(read.keys)
        leave += (SkipEntry(each.key, helpers.reason(each), each.password_elsewhere) for each in read.left)
        for entry in read.entries:
            _sort_in(entry, bring, leave)
        if helpers.store and not (read.keys or helpers.by_key):
            leave.append(SkipEntry("credsStore", f"the program {helpers.store} keeps all passwords, not this file"))
    return ImportPlan(tuple(bring.values()), tuple(leave))


def _sort_in(entry: AuthEntry, bring: dict[str, ImportEntry], leave: list[SkipEntry]) -> None:
    try:
        server = server_of_key(entry.key)
    except UnusableServerError as error:
        leave.append(SkipEntry(entry.key, str(error)))
        return
    mine = ImportEntry(server.text, entry.unbroken, _noted(entry, server))
    there = bring.get(server.text)
    if there is None:
        bring[server.text] = mine
        return
    first, second = (mine, there) if _rank(mine) < _rank(there) else (there, mine)
    if (first.entry.username, first.entry.password) == (second.entry.username, second.entry.password):
        same = f"{second.entry.key} is the same registry, with the same credential"
        first = first._replace(note="; ".join(filter(None, (first.note, same))))
    else:
        why = f"it is {server.text} as well, for which the credential of {first.entry.key} counts"
        leave.append(SkipEntry(second.entry.key, why))
    bring[server.text] = first


def _rank(each: ImportEntry) -> int:
    """Lower for keys that the kubelet prefers; those that it does not use for these images come last."""
    key = parse_key(each.entry.key)
    if key.is_fallback:
        return 1
    return 0 if RegistryCoverage.parsed([each.server]).served_by(key) else 2


def _noted(entry: AuthEntry, server: RegistryServer) -> str:
    whole = entry.unbroken
    broken = "" if whole is entry else "the line break around its user name or password was left out"
    notes = [server.note, broken, whole.doubt, short_lived(whole.username, server.text, whole.password)]
    return "; ".join(filter(None, notes))


def short_lived(username: bytes, server: str, password: bytes) -> str:
    """What to know of a credential that a cloud's own tool made; mostly empty."""
    lasts = "12 hours" if username == b"AWS" and _ecr(server) else _SHORT_LIVED.get(username)
    lasts = lasts or next((time for start, time in _PASSING.items() if password.startswith(start)), None)
    return f"its password is a token that lasts {lasts}: renew it in time, or use one that stays" if lasts else ""


def as_json(found: ImportPlan, added: Sequence[Json]) -> Json:
    return {
        "found": [{"key": each.entry.key, "server": each.server, "note": each.note or None} for each in found.bring],
        "added": list(added),
        "left": [{"key": each.key, "why": each.why} for each in found.leave],
    }


def as_text(found: ImportPlan, added: Mapping[str, str]) -> str:
    """`added` says of servers what was done."""
    lines = []
    for each in found.bring:
        lines.append(added.get(each.server) or f"{each.server}: can be brought")
        lines += [f"  Note: {each.note}"] if each.note else []
    lines += [f"{each.key}: left out, {each.why}" for each in found.leave]
    addable = [each.key for each in found.leave if each.addable]
    if addable:
        some = ", ".join(addable[:_NAMED]) + (f" and {len(addable) - _NAMED} more" if len(addable) > _NAMED else "")
        which = "" if len(addable) == len(found.leave) else f", for {some}"
        lines.append(f"  With a password{which}: sutler registry add SERVER --username NAME --password-stdin")
    return "\n".join(lines) or "There are no registries in it."


@dataclass(frozen=True)
class _Helpers:
    """The programs that keep passwords, where the file has none."""

    store: str
    by_key: Mapping[str, str]

    @classmethod
    def of(cls, config: Config) -> "_Helpers":
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
        """Registries of which there is no entry at all."""
        for key, program in self.by_key.items():
            if key not in keys:
                yield SkipEntry(without_user(key), _kept(program), addable=True)

    def reason(self, left: SkippedEntry) -> str:
        program = self.by_key.get(left.key) or self.store
        return _kept(program) if program and left.empty else left.why


def _program(value: object) -> str:
    return f"docker-credential-{value}" if isinstance(value, str) and value.isprintable() else "a credential helper"


def _kept(program: str) -> str:
    return f"its password is kept by the program {program}, not in this file"
