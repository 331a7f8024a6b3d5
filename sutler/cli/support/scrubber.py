"""Removes credentials from objects and logs before they leave the cluster. Pure: no I/O.

Any user may have written a password into an annotation, a variable or a parameter. Of these only the values stay that
are known to be none; the names of the others stay. All text is searched for the forms of credentials besides.
"""

import re
from typing import Any

from provisioner.volumes.planning.known_parameters import is_known

LEFT_OUT = "(left out)"

_KNOWN_ANNOTATION = re.compile(r"(?:[\w-]+\.)*(?:sutler\.dev|kubernetes\.io|k8s\.io)/")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""An earlier version of the whole object, with all that was ever written into it."""
_KNOWN_VARIABLE = re.compile(r"(?:SUTLER|PYTHON)[A-Z_]*(?<!TOKEN)(?<!PASSWORD)(?<!SECRET)(?<!KEY)|TZ|LANG|PATH")

_FORMS = re.compile(
    r"""
    \bA[Qg][A-Za-z0-9+/]{36,57}={1,2}         # a cephx key
    | \beyJ[\w+/-]{16,}[\w+/=.-]*             # base64 of a JSON object: a JWT, a docker config, a password of ECR
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b           # a key of AWS
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----[\w\s+/=\\-]*
    | \bLS0tLS1CRUdJTi(?!BDRVJUSUZJQ0FUR)[\w+/=]+  # base64 of PEM that is not a certificate
    """,
    re.VERBOSE,
)
"""Texts that are credentials by their form."""
_AFTER = re.compile(
    r"""
    (://[^\s/:@"']*:)[^\s/@"']+(?=@)          # of a URL
    | (authorization\\?["']?\s*[:=]\s*\\?["']?(?:basic|bearer)\s+)[^\s"',\\]+
    | (\b(?:auth|passw(?:or)?d|identitytoken|registrytoken|(?:access|refresh|id)_token|client_secret
        |(?:aws_)?secret_?access_?key)
        \\?["']?\s*[:=]\s*\\?["']?)[^\s"',}\]\\]+
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Credentials by what is written before them, which stays."""


def scrub_text(text: str) -> str:
    """The text without what looks like a credential."""
    text = _FORMS.sub(LEFT_OUT, text)
    return _AFTER.sub(lambda found: next(filter(None, found.groups())) + LEFT_OUT, text)


def scrub(value: Any) -> Any:
    """An object of the API server, or a part of one, without credentials."""
    if isinstance(value, str):
        return scrub_text(value)
    if isinstance(value, list):
        return [scrub(each) for each in value]
    if isinstance(value, dict):
        return {key: _scrub_field(key, each) for key, each in value.items() if key != "managedFields"}
    return value


def _scrub_field(key: str, value: Any) -> Any:
    match key, value:
        case "annotations", dict():
            return {
                name: scrub(each) if _KNOWN_ANNOTATION.match(name) and name != _LAST_APPLIED else LEFT_OUT
                for name, each in value.items()
            }
        case "parameters", dict():
            return {name: scrub(each) if is_known(name) else LEFT_OUT for name, each in value.items()}
        case "env" | "httpHeaders", list():
            return [_variable(each) for each in value]
    return scrub(value)


def _variable(value: Any) -> Any:
    """A name with a value; the name of a Secret or a field in place of the value stays."""
    if not isinstance(value, dict) or "value" not in value or _KNOWN_VARIABLE.fullmatch(str(value.get("name"))):
        return scrub(value)
    return {**scrub(value), "value": LEFT_OUT}
