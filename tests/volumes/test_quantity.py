import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sutler.quantity import LARGEST, Notation, Quantity, QuantityError, of_bytes, parse

GIB = 1024**3


@pytest.mark.parametrize(
    ("text", "value", "canonical"),
    [
        ("1", "1", "1"),
        ("0", "0", "0"),
        ("1k", "1000", "1k"),
        ("1Ki", "1024", "1Ki"),
        ("1.5Gi", "1610612736", "1536Mi"),
        ("0.1", "0.1", "100m"),
        ("100m", "0.1", "100m"),
        ("1e3", "1000", "1e3"),
        ("1E3", "1000", "1e3"),
        ("1e+3", "1000", "1e3"),
        ("1e-3", "0.001", "1e-3"),
        ("1E", "1000000000000000000", "1E"),
        ("12e6", "12000000", "12e6"),
        ("1200e4", "12000000", "12e6"),
        ("+1Gi", "1073741824", "1Gi"),
        ("-1", "-1", "-1"),
        ("-1.5Gi", "-1610612736", "-1536Mi"),
        ("1.", "1", "1"),
        (".5Gi", "536870912", "512Mi"),
        ("0.5Ki", "512", "512"),  # below 1024 Kubernetes falls back to decimal
        ("1.0001Ki", "1024.1024", "1024102400u"),  # and for what is not whole
        ("1000G", "1000000000000", "1T"),
        ("1500", "1500", "1500"),
        ("12300", "12300", "12300"),
        ("1024Gi", "1099511627776", "1Ti"),
        ("1n", "0.000000001", "1n"),
        ("0.1n", "0.000000001", "1n"),  # rounded up to what Kubernetes keeps
        ("9223372036854775807", "9223372036854775807", "9223372036854775807"),
        ("7Ei", str(7 * 1024**6), "7Ei"),
    ],
)
def test_quantity_is_read_exactly_and_written_canonically(text: str, value: str, canonical: str) -> None:
    quantity = parse(text)
    assert quantity.value == Decimal(value)
    assert str(quantity) == canonical
    assert parse(canonical).value == quantity.value


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10GiB", "10Gi"),
        ("1.5GB", "1.5G"),
        ("4MiB", "4Mi"),
        ("10gb", "10G"),
        ("10 Gi", "10Gi"),
        ("1,5Gi", "1.5Gi"),
        ("10K", "10k"),
        ("64kib", "64Ki"),
        ("512B", "512"),
        ("512 bytes", "512"),
        ("2t", "2T"),
    ],
)
def test_units_of_other_tools_are_answered_with_what_was_meant(text: str, meant: str) -> None:
    with pytest.raises(QuantityError, match=rf"did you mean {re.escape(meant)}\?"):
        parse(text)
    parse(meant)


@pytest.mark.parametrize("text", ["1,000Gi", "10iB", "ten", "10Gibs", "1GiBit", "-1GiB"])
def test_what_may_mean_several_things_is_not_guessed(text: str) -> None:
    with pytest.raises(QuantityError) as caught:
        parse(text)
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", " ", "1 Gi", " 1Gi", "1Gi ", "Gi", ".", "1..5", "--1", "+", "1K", "1gi", "1GiB", "1Zi", "1e", "1e1.5",
     "1e99999", "0x10", "1_000", "\u0661Gi", "NaN", "Infinity", "1,5Gi", "8Ei", "9223372036854775808", "1e19",
     "1" * 200],
)  # fmt: skip
def test_quantity_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(QuantityError) as caught:
        parse(text)
    assert text[:8].strip() in str(caught.value) or "63 bits" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "unit", "size"),
    [
        ("1.5Gi", 1, 1610612736),
        ("1.5Gi", 512, 1610612736),
        ("1G", 512, 1_000_000_000),
        ("100m", 1, 1),
        ("100m", 512, 512),
        ("0.1Gi", 1, 107374183),  # 107374182.4
        ("0.1Gi", 512, 107374592),
        ("0", 512, 0),
        ("-1", 512, 0),
        ("-1.5Ki", 512, -1536),
        ("9223372036854775807", 1, LARGEST),
    ],
)
def test_size_is_rounded_up_to_the_unit(text: str, unit: int, size: int) -> None:
    assert parse(text).round_up(unit) == size


def test_size_that_leaves_63_bits_by_rounding_is_refused() -> None:
    with pytest.raises(QuantityError, match="63 bits"):
        parse("9223372036854775807").round_up(512)


@given(st.integers(min_value=0, max_value=LARGEST), st.sampled_from(Notation))
def test_bytes_survive_writing_and_reading(size: int, notation: Notation) -> None:
    written = str(of_bytes(size, notation))
    assert parse(written).round_up() == size
    assert "." not in written


@given(
    st.decimals(min_value=0, max_value=10**6, places=3), st.sampled_from(["", "Ki", "Mi", "Gi", "k", "M", "G", "Ti"])
)
def test_rounding_up_never_loses_and_never_adds_a_unit(number: Decimal, unit: str) -> None:
    quantity: Quantity = parse(f"{number}{unit}")
    size = quantity.round_up(512)
    assert size >= quantity.value
    assert size - quantity.value < 512
