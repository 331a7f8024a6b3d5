"""Parses the values of a StorageClass's parameters. Pure: no I/O."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TypeVar

from provisioner.ceph.model import FEATURES, LARGEST_OBJECT, REQUIRES, SMALLEST_OBJECT
from provisioner.volumes.planning.known_parameters import CSI_PREFIX
from provisioner.volumes.planning.secret_templates import SecretReference, TemplateError, check
from sutler.quantity import QuantityError, parse
from sutler.volumes.locations import PATH_PART

T = TypeVar("T")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DRIVER = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]{0,61}[A-Za-z0-9])?")
_DECIMAL = re.compile(r"(\d+)\s*([kKmM])i?[bB]?", re.ASCII)
_MOUNTERS = ("krbd", "nbd")
"""The mounters that prefix options in ceph-csi's mapOptions."""


class ParameterReader:
    """Parses parameters one by one and collects their problems."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self.problems: list[str] = []

    def read(self, name: str, convert: Callable[[str], T], default: T) -> T:
        if name not in self._given:
            return default
        try:
            return convert(self._given[name])
        except (ValueError, QuantityError) as error:
            self.problems.append(f"{name}: {error}")
            return default

    def name(self, name: str, *, required: bool = False) -> str | None:
        text = self._given.get(name)
        if text is not None and "${" in text:
            self.problems.append(
                f"{name}: {text!r} contains a variable, which is allowed only in names of Secrets: write the name"
            )
        elif text is None or not PATH_PART.fullmatch(text):
            if text is not None:
                self.problems.append(
                    f"{name}: {text!r} is not a valid name: it must not contain blanks, control characters, / or @"
                )
            elif required:
                self.problems.append(f"{name} is missing: set it to the Ceph pool for the images")
            return None
        return text

    def secret(self, *uses: str) -> SecretReference | None:
        """Returns the Secret of the first of these uses that is given."""
        pairs = [tuple(f"{CSI_PREFIX}{use}secret-{part}" for part in ("name", "namespace")) for use in uses]
        for name, namespace in pairs:
            if (name in self._given) != (namespace in self._given):
                self.problems.append(f"{name} and {namespace} belong together: set both or neither")
                return None
            if name in self._given:
                return self.checked_secret(name, SecretReference(self._given[name], self._given[namespace]))
        return None

    def checked_secret(self, name: str, secret: SecretReference) -> SecretReference | None:
        try:
            check(secret)
        except TemplateError as error:
            self.problems.append(f"{name}: {error}")
            return None
        return secret

    def one_of(self, name: str, accepted: tuple[str, ...]) -> str:
        text = self._given.get(name, accepted[0])
        if text not in accepted:
            self.problems.append(f"{name}: {text!r} is not one of {', '.join(accepted)}")
        return text


def map_options(text: str) -> str:
    """Checks options as ceph-csi's node plugin parses them: options of krbd, or `krbd:…;nbd:…`."""
    for part in text.split(";"):
        mounter, colon, _ = part.partition(":")
        if colon and mounter.strip().lower() not in _MOUNTERS:
            raise ValueError(
                f"{part!r} does not begin with krbd: or nbd:, which the node plugin requires for options with a colon"
            )
    return text


def monitors(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(","))
    if not all(found) or any(" " in part for part in found):
        raise ValueError(f"{text!r} is not a list of addresses such as 10.0.0.1:6789,10.0.0.2:6789")
    return found


def driver(text: str) -> str:
    if not _DRIVER.fullmatch(text):
        raise ValueError(f"{text!r} is not the name of a CSI driver, such as rook-ceph.rbd.csi.ceph.com")
    return text


def features(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in FEATURES:
            raise ValueError(f"{name!r} is not one of {', '.join(FEATURES)}")
        if name in REQUIRES and REQUIRES[name] not in names:
            raise ValueError(f"{name} requires {REQUIRES[name]}: add it")
    return names or ("layering",)


def size(text: str) -> int:
    try:
        found = parse(text).round_up()
    except QuantityError as error:
        raise ValueError(f"{text!r} is not a size: {_suggestion(text)}" if _suggestion(text) else str(error)) from None
    if found <= 0:
        raise ValueError(f"{text!r} is not greater than 0")
    return found


def _suggestion(text: str) -> str:
    """Suggests 4Mi for 4MB: sizes of objects and stripes are powers of two."""
    match = _DECIMAL.fullmatch(text)
    return f"did you mean {match[1]}{match[2].upper()}i?" if match else ""


def object_size(text: str) -> int:
    found = size(text)
    if not SMALLEST_OBJECT <= found <= LARGEST_OBJECT or found & (found - 1):
        hint = f": {_suggestion(text)}" if _suggestion(text) else ""
        raise ValueError(f"{text!r} is not a power of two from 4Ki to 32Mi{hint}")
    return found


def count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def limit(text: str) -> int | None:
    """Returns operations or bytes a second; None for `max`, which means no limit.

    The node plugin takes whole numbers, and the kernel rejects 0.
    """
    if text == "max":
        return None
    try:
        value = parse(text).value
    except QuantityError:
        value = Decimal(0)
    if value != value.to_integral_value() or value <= 0:
        raise ValueError(f"{text!r} is not a whole number greater than 0, such as 1000 or 50Mi, nor max (no limit)")
    return int(value)


def duration(text: str) -> int:
    """Returns seconds."""
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text, re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write for example 90s, 30m, 24h or 7d")
    return int(match[1]) * _UNITS[match[2] or "s"]
