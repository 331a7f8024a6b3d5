"""The time-out of the API server, from the URL."""

import pytest

from webhook.fast_http import DEFAULT_TIMEOUT_SECONDS, timeout_seconds


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("", DEFAULT_TIMEOUT_SECONDS),
        ("?timeout=3s", 3),
        ("?timeout=1s&x=y", 1),
        ("?x=y&timeout=500ms", 0.5),
        ("?timeout=0s", DEFAULT_TIMEOUT_SECONDS),
        ("?timeout=99s", 30),
        ("?timeout=3", DEFAULT_TIMEOUT_SECONDS),
        ("?timeout=-3s", DEFAULT_TIMEOUT_SECONDS),
        ("?timeout=soon", DEFAULT_TIMEOUT_SECONDS),
    ],
)
def test_timeout_of_the_url_is_the_deadline(query: str, seconds: float) -> None:
    assert timeout_seconds(f"/mutate{query}", "/mutate") == seconds


def test_other_paths_have_none() -> None:
    for target in ("/", "/mutated", "/mutate/x", "", "?timeout=3s"):
        with pytest.raises(KeyError):
            timeout_seconds(target, "/mutate")


def test_many_different_urls_do_not_fill_the_memory() -> None:
    for number in range(1000):
        assert timeout_seconds(f"/mutate?n={number}&timeout=2s", "/mutate") == 2
    assert timeout_seconds.cache_info().currsize < 100
