"""What an image is called: pure. Readable for people, and the same every time for one claim."""

import re

from provisioner.ceph.model import LONGEST_NAME

DEFAULT_TEMPLATE = "{namespace}-{claim}-{uid}"
_FIELDS = ("namespace", "claim", "uid")
_ALLOWED = re.compile(r"[A-Za-z0-9._-]*")


def check_template(text: str) -> str:
    """Returns the template; ValueError says what is wrong with it."""
    rest = text
    for field in _FIELDS:
        rest = rest.replace("{" + field + "}", "")
    if "{uid}" not in text:
        raise ValueError(f"{text!r} does not hold {{uid}}: without it two claims could get one image")
    if any(text.count("{" + field + "}") > 1 for field in _FIELDS):
        raise ValueError(f"{text!r} holds a field twice")
    if not _ALLOWED.fullmatch(rest):
        raise ValueError(f"{text!r} may hold {{namespace}}, {{claim}}, {{uid}}, letters, digits, '.', '_' and '-'")
    if len(rest) > LONGEST_NAME // 2:
        raise ValueError(f"{text!r} is too long: at most {LONGEST_NAME // 2} characters besides the fields")
    return text


def image_name(template: str, *, namespace: str, claim: str, uid: str) -> str:
    """Names that would be too long lose the ends of the claim's and the namespace's name, never any of the UID."""
    room = LONGEST_NAME - len(template.format(namespace="", claim="", uid=uid))
    if "{namespace}" not in template:
        return template.format(claim=claim[:room], uid=uid)
    kept = namespace[: max(room // 2, room - len(claim)) if "{claim}" in template else room]
    return template.format(namespace=kept, claim=claim[: room - len(kept)], uid=uid)
