"""Types of fields. Each describes what it accepts, and problems quote that."""

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from provisioner.ceph.model import SECTOR
from sutler import quantity

MOST_OBJECTS = 256_000_000
"""The most objects of one image, a limit of librbd's object map."""
LARGEST_OBJECT = 2**25
LARGEST_IMAGE = MOST_OBJECTS * LARGEST_OBJECT
LONGEST_NAME = 128


class RequestModel(BaseModel):
    """A request: types are strict, and unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class ResponseModel(BaseModel):
    """A response."""

    model_config = ConfigDict(frozen=True, from_attributes=True, use_attribute_docstrings=True)


def _parse_whole_number(value: Any) -> Any:
    """Accepts 7.0 for 7, since JSON does not distinguish integers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE_NUMBER = BeforeValidator(_parse_whole_number)
"""Must follow Field(ge=, le=): placed before it, pydantic drops minimum and maximum from the schema."""


def _parse_size(value: Any) -> int:
    """Bytes, from a number or a quantity, rounded up to whole sectors."""
    value = _parse_whole_number(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("is neither a number of bytes nor a quantity")  # noqa: TRY004 - pydantic reports ValueErrors
    try:
        size = quantity.parse(str(value)).round_up()
    except quantity.QuantityError as error:
        raise ValueError(str(error)) from error
    if not SECTOR <= size <= LARGEST_IMAGE:
        raise ValueError(f"{size} bytes are out of range")
    return -(-size // SECTOR) * SECTOR


_SIZE_TEXT = (
    f"Bytes, or a quantity like `10Gi`, `1.5Gi` or `500M`: {SECTOR} to {LARGEST_IMAGE}; "
    f"rounded up to whole sectors of {SECTOR} bytes."
)
_SIZE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": SECTOR, "maximum": LARGEST_IMAGE},
        {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?([kMGT]|[KMGT]i)?$"},
    ],
    "description": _SIZE_TEXT,
    "examples": ["10Gi", 1048576],
}
Size = Annotated[
    int,
    BeforeValidator(_parse_size),
    WithJsonSchema(_SIZE_SCHEMA),
    Field(description=_SIZE_TEXT, json_schema_extra={"x-errno": "EINVAL"}),
]


def _parse_size_or_none(value: Any) -> int:
    return 0 if type(value) in (int, float) and value == 0 else _parse_size(value)


SizeOrNone = Annotated[
    int,
    BeforeValidator(_parse_size_or_none),
    WithJsonSchema({"anyOf": [{"const": 0}, *_SIZE_SCHEMA["anyOf"]]}),
    Field(description=f"0, or: {_SIZE_TEXT}"),
]
"""0: no quota."""

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
NewName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_NAME,
        pattern=NAME_PATTERN,
        description=f"1 to {LONGEST_NAME} letters, digits, `_`, `-` and `.`, where `-` and `.` cannot be first; "
        "librbd accepts `@` and `/`, but tools cannot address such a name.",
        json_schema_extra={"x-errno": "EINVAL"},
    ),
]
"""The name of a new resource."""

AnyName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="1 to 255 characters, none of them a control character.",
    ),
]
"""The name of an existing resource, which another tool may have created under other rules."""

Namespace = Annotated[
    str,
    Field(
        max_length=LONGEST_NAME,
        pattern=r"^[A-Za-z0-9_.-]*$",
        description="RADOS namespace in the pool; default: the default namespace.",
    ),
]

Timestamp = Annotated[
    AwareDatetime, PlainSerializer(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"), when_used="json")
]
"""UTC, in whole seconds, which is the precision of Ceph's times."""


def quantity_text(size: int) -> str:
    return str(quantity.of_bytes(size))
