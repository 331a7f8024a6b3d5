"""Names images: readable for people, and the same at each attempt for a claim. Pure: no I/O."""

import re

from provisioner.ceph.model import LONGEST_NAME

DEFAULT_TEMPLATE = "{namespace}-{claim}-{uid}"
_FIELDS = ("namespace", "claim", "uid")
_ALLOWED = re.compile(r"[A-Za-z0-9._-]*")


def check_template(text: str) -> str:
    """Returns the template. Raises ValueError if it is invalid."""
    rest = text
    for field in _FIELDS:
        rest = rest.replace("{" + field + "}", "")
    if "{uid}" not in text:
        raise ValueError(f"{text!r} lacks {{uid}}, without which two claims could get one image")
    if any(text.count("{" + field + "}") > 1 for field in _FIELDS):
        raise ValueError(f"{text!r} has a field twice")
    if not _ALLOWED.fullmatch(rest):
        raise ValueError(f"{text!r} may contain {{namespace}}, {{claim}}, {{uid}}, letters, digits, '.', '_' and '-'")
    if len(rest) > LONGEST_NAME // 2:
        raise ValueError(f"{text!r} is too long: at most {LONGEST_NAME // 2} characters besides the fields")
    return text


def image_name(template: str, *, namespace: str, claim: str, uid: str) -> str:
    """Fills in the template. If the name were too long, the names of claim and namespace are cut, never the UID."""
    space = LONGEST_NAME - len(template.format(namespace="", claim="", uid=uid))
    if "{namespace}" not in template:
        return template.format(claim=claim[:space], uid=uid)
    kept = namespace[: max(space // 2, space - len(claim)) if "{claim}" in template else space]
    return template.format(namespace=kept, claim=claim[: space - len(kept)], uid=uid)
