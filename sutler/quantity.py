"""Kubernetes quantities, with exact arithmetic.

The rules are those of ``k8s.io/apimachinery/pkg/api/resource``: a signed decimal number and one suffix, binary (``Ki``
to ``Ei``), decimal (``n`` to ``E``) or an exponent (``e3``). ``1E`` is an exa, ``1E3`` a thousand. Floats can't hold
these values (``0.1``, ``9223372036854775807``), so everything is a Decimal. Values that have to become integers are
rounded **up**: a volume that is a byte too small never binds, without any message.
"""

import re
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal, localcontext
from enum import Enum

from sutler.errors import SutlerError

LARGEST = 2**63 - 1
"""Kubernetes keeps quantities in 63 bits; so do Ceph's sizes."""

_NANO = Decimal("1e-9")  # the finest step that Kubernetes keeps
_SHAPE = re.compile(r"(?P<sign>[+-]?)(?P<number>\d+\.?\d*|\.\d+)(?P<suffix>[A-Za-z]*|[eE][+-]?\d{1,4})", re.ASCII)
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_LONGEST = 128  # characters; the API server's own values are far shorter


class QuantityError(SutlerError):
    """The text is not a quantity, or can't be stored exactly; the message names the rule that it breaks."""


class Notation(Enum):
    """The notation of a quantity, which its canonical form preserves."""

    BINARY = "binary"
    DECIMAL = "decimal"
    EXPONENT = "exponent"


@dataclass(frozen=True, slots=True)
class Quantity:
    value: Decimal
    notation: Notation = Notation.DECIMAL

    def __str__(self) -> str:
        """The canonical form: no fraction, nothing lost, the largest suffix that divides exactly."""
        whole = self.value == self.value.to_integral_value()
        if self.notation is Notation.BINARY and whole and abs(self.value) >= 1024:  # noqa: PLR2004 - the suffix Ki
            return _binary(int(self.value))
        return _decimal(self.value, exponent_form=self.notation is Notation.EXPONENT)

    def round_up(self, unit: int = 1) -> int:
        """The smallest multiple of `unit` that is not less than the value."""
        size = -int(-self.value // 1) if self.value < 0 else int(self.value.to_integral_value(rounding=ROUND_UP))
        size = -(-size // unit) * unit
        if size > LARGEST:
            raise QuantityError(f"{self} rounded up to a multiple of {unit} is {size}, more than {LARGEST} (63 bits)")
        return size


def parse(text: str) -> Quantity:
    if len(text) > _LONGEST:
        raise QuantityError(f"quantity {text[:32]!r}... is longer than {_LONGEST} characters")
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise QuantityError(
            f"{text!r} is not a quantity: {_meant(text)}write a number and a unit, like 10Gi, 1.5Gi, 500M or 1e9"
        )
    notation, factor = _factor(match["suffix"], text)
    with localcontext() as context:
        context.prec = _LONGEST + 40  # every digit of the text and of the largest factor
        value = Decimal(match["sign"] + match["number"]) * factor
        if abs(value) > LARGEST:
            raise QuantityError(f"{text!r} is more than {LARGEST} (63 bits)")
        # Finer than nano is rounded away from zero, as Kubernetes does.
        value = value.quantize(_NANO, rounding=ROUND_UP)
    return Quantity(value, notation)


def of_bytes(size: int, like: Notation = Notation.BINARY) -> Quantity:
    """The quantity of an exact number of bytes, to be written in the notation of another one."""
    if abs(size) > LARGEST:
        raise QuantityError(f"{size} is more than {LARGEST} (63 bits)")
    return Quantity(Decimal(size), like)


def _factor(suffix: str, text: str) -> tuple[Notation, Decimal]:
    if suffix in _DECIMAL:
        return Notation.DECIMAL, Decimal(1).scaleb(_DECIMAL[suffix])
    if suffix in _BINARY:
        return Notation.BINARY, Decimal(1024 ** _BINARY.index(suffix))
    if suffix[0] in "eE" and suffix[1:].lstrip("+-").isdigit():
        return Notation.EXPONENT, Decimal(1).scaleb(int(suffix[1:]))
    known = ", ".join(s for s in (*_BINARY, *_DECIMAL) if s)
    raise QuantityError(
        f"{text!r} is not a quantity: unknown unit {suffix!r}; {_meant(text)}known are {known} and exponents like e9"
    )


# Units as people and other tools write them; what Kubernetes calls `k`, everybody else calls `K`.
_HABIT = re.compile(
    r"\s*(?P<number>\d+(?:\.\d+|,\d{1,2})?)\s*(?P<letter>[kmgtpe]?)(?P<binary>i?)(?:b|bytes?)?\s*",
    re.IGNORECASE | re.ASCII,
)


def _meant(text: str) -> str:
    """`10GiB`, `1.5 gb` and `1,5Gi` as Kubernetes writes them, as a question."""
    match = _HABIT.fullmatch(text)
    if match is None or (match["binary"] and not match["letter"]):
        return ""
    letter = match["letter"].upper()
    suffix = f"{letter}i" if match["binary"] else letter.replace("K", "k")
    return f"did you mean {match['number'].replace(',', '.')}{suffix}? "


def _binary(value: int) -> str:
    power = 0
    while value % 1024 == 0 and power < len(_BINARY) - 1:
        value //= 1024
        power += 1
    return f"{value}{_BINARY[power]}"


def _decimal(value: Decimal, *, exponent_form: bool) -> str:
    if value == 0:
        return "0"
    with localcontext() as context:
        context.prec = _LONGEST + 40
        sign, digits, exponent = value.normalize().as_tuple()
    number = int("".join(map(str, digits)))
    power = int(exponent) // 3 * 3
    number *= 10 ** (int(exponent) - power)
    suffix = (f"e{power}" if power else "") if exponent_form else _DECIMAL_SUFFIX[power]
    return f"{'-' if sign else ''}{number}{suffix}"
