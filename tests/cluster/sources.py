"""An apt configuration made from the machine's own apt sources: pure text to text.

Both kinds of file are read: one-line `.list` and deb822 `.sources`. Only Debian's own suites of this release
are kept: other repositories often have no sources at all, and would fail the whole update.
"""

import re

_LINE = re.compile(r"^deb(?:-src)?\s+(?P<options>\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")
_COMPONENT = "main"


def from_list(text: str, wanted: dict[str, str], kind: str = "deb-src") -> str:
    """The lines for what a `.list` file names of the suites `wanted`, each with the suite to be named instead."""
    lines: dict[str, None] = {}  # ordered, each once
    for line in text.splitlines():
        found = _LINE.match(line.partition("#")[0].strip())
        if found and _usable(found["uri"], found["components"].split()) and found["suite"] in wanted:
            lines[f"{kind} {found['options'] or ''}{found['uri']} {wanted[found['suite']]} {_COMPONENT}"] = None
    return "".join(f"{line}\n" for line in lines)


def from_deb822(text: str, wanted: dict[str, str], kind: str = "deb-src") -> str:
    """The same for a `.sources` file; what it says about keys and trust stays."""
    stanzas = (_stanza(one, wanted, kind) for one in re.split(r"\n\s*\n", text))
    return "\n".join(one for one in stanzas if one)


def _stanza(text: str, wanted: dict[str, str], kind: str) -> str:
    fields = _fields(text)
    kept = [wanted[suite] for suite in fields.get("suites", "").split() if suite in wanted]
    enabled = fields.get("enabled", "yes").lower() not in {"no", "false", "0"}
    if not kept or not enabled or not _usable(fields.get("uris", ""), fields.get("components", "").split()):
        return ""
    changed = {"types": kind, "suites": " ".join(kept), "components": _COMPONENT}
    left_out = ("architectures", "enabled")
    return "".join(f"{name}: {value}\n" for name, value in (fields | changed).items() if name not in left_out)


def _fields(stanza: str) -> dict[str, str]:
    """Names are lower case (apt takes them so); a continued value keeps its lines."""
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace():
            fields[name] += f"\n{line}"
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def _usable(uris: str, components: list[str]) -> bool:
    return _COMPONENT in components and not uris.startswith("cdrom:")
