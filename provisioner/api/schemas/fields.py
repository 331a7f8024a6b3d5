"""The kinds of fields, each with what it accepts in words: error answers quote that."""

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from provisioner.ceph.model import SECTOR
from sutler import quantity

MOST_OBJECTS = 256_000_000
"""Of one image: what librbd's object map can count."""
LARGEST_OBJECT = 2**25
LARGEST_IMAGE = MOST_OBJECTS * LARGEST_OBJECT
LONGEST_NAME = 128


class RequestModel(BaseModel):
    """What comes in: exact types, nothing unknown."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class ResponseModel(BaseModel):
    """What goes out."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


def _parse_whole_number(value: Any) -> Any:
    """JSON knows no integers: 7.0 is one as well as 7."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE_NUMBER = BeforeValidator(_parse_whole_number)
"""Behind a field's limits: before them, pydantic would describe the limits in no words of JSON Schema's."""


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
"""0 means that there is none."""

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
NewName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_NAME,
        pattern=NAME_PATTERN,
        description=f"1 to {LONGEST_NAME} letters, digits, `_`, `-` and `.`, beginning with none of the last two; "
        "librbd would take `@` and `/`, but no tool could say such a name.",
        json_schema_extra={"x-errno": "EINVAL"},
    ),
]
"""Of something that is made now."""

AnyName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="1 to 255 characters, none of them a control character.",
    ),
]
"""Of something that may be there already: whoever made it may have used what we would not."""

Namespace = Annotated[
    str,
    Field(
        max_length=LONGEST_NAME,
        pattern=r"^[A-Za-z0-9_.-]*$",
        description="RADOS namespace inside the pool; the default one when left out.",
    ),
]

Timestamp = Annotated[
    AwareDatetime, PlainSerializer(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"), when_used="json")
]
"""UTC, whole seconds: Ceph's times are no better."""


def quantity_text(size: int) -> str:
    return str(quantity.of_bytes(size))
