"""The layout of a new image: fields that the requests to create and to clone share."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from provisioner.api.schemas.fields import LARGEST_OBJECT, WHOLE_NUMBER, AnyName, RequestModel
from provisioner.ceph.model import REQUIRES, ImageSpec

_FIRST_ORDER, _DEFAULT_ORDER, _LAST_ORDER = 12, 22, 25
_ORDER_TEXT = f"Objects of 2^order bytes: {_FIRST_ORDER} to {_LAST_ORDER}, that is 4 KiB to 32 MiB"
Order = Annotated[
    int,
    Field(
        ge=_FIRST_ORDER,
        le=_LAST_ORDER,
        description=f"{_ORDER_TEXT}; {_DEFAULT_ORDER} (4 MiB) when neither it nor `object_size` is given.",
        json_schema_extra={"x-errno": "EDOM"},
    ),
    WHOLE_NUMBER,
]
_FIRST_UNIT = 9


def _power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError(f"{value} is not a power of two")
    return value


ObjectSize = Annotated[
    int,
    Field(
        ge=2**_FIRST_ORDER,
        le=LARGEST_OBJECT,
        description=f"Bytes of one object, a power of two: {2**_FIRST_ORDER} to {LARGEST_OBJECT}; "
        "an alternative to `order`.",
        json_schema_extra={"x-errno": "EDOM", "enum": [2**order for order in range(_FIRST_ORDER, _LAST_ORDER + 1)]},
    ),
    AfterValidator(_power_of_two),
    WHOLE_NUMBER,
]
StripeUnit = Annotated[
    int,
    Field(
        ge=2**_FIRST_UNIT,
        le=LARGEST_OBJECT,
        description=f"Bytes, a power of two from {2**_FIRST_UNIT} up to the object's size; only with `stripe_count`.",
        json_schema_extra={"x-errno": "EINVAL", "enum": [2**unit for unit in range(_FIRST_UNIT, _LAST_ORDER + 1)]},
    ),
    AfterValidator(_power_of_two),
    WHOLE_NUMBER,
]
StripeCount = Annotated[
    int,
    Field(ge=1, le=1024, description="Objects that a stripe spans, 1 to 1024; only with `stripe_unit`."),
    WHOLE_NUMBER,
]
Feature = Literal["layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten", "journaling"]


class Layout(RequestModel):
    """The layout of an image on objects."""

    order: Order | None = None
    object_size: ObjectSize | None = None
    features: Annotated[
        list[Feature],
        Field(
            max_length=6,
            description="Some features require others: object-map requires exclusive-lock, fast-diff requires "
            "object-map, journaling requires exclusive-lock.",
        ),
    ] = ["layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten"]  # noqa: RUF012 - pydantic copies defaults
    stripe_unit: StripeUnit | None = None
    stripe_count: StripeCount | None = None
    data_pool: Annotated[
        AnyName | None,
        Field(description="Pool for the data, such as an erasure-coded one; default: the image's own pool."),
    ] = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.order is not None and self.object_size is not None:
            raise ValueError("give order or object_size, not both")
        if (self.stripe_unit is None) != (self.stripe_count is None):
            raise ValueError("give stripe_unit and stripe_count, or none of them")
        if self.stripe_unit is not None and self.stripe_unit > self.bytes_of_object:
            raise ValueError(f"stripe_unit {self.stripe_unit} is more than the object's {self.bytes_of_object} bytes")
        for feature, needed in REQUIRES.items():
            if feature in self.features and needed not in self.features:
                raise ValueError(f"feature {feature} needs feature {needed}: add it, or leave {feature} out")
        return self

    @property
    def bytes_of_object(self) -> int:
        return self.object_size or 1 << (self.order or _DEFAULT_ORDER)

    def spec(self, name: str, size: int) -> ImageSpec:
        return ImageSpec(
            name=name,
            size=size,
            features=tuple(self.features),
            object_size=self.bytes_of_object,
            stripe_unit=self.stripe_unit,
            stripe_count=self.stripe_count,
            data_pool=self.data_pool,
        )
