"""What the API server says about its patience."""

import pytest

from webhook.deadline import DEFAULT_SECONDS, Deadlines


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("", DEFAULT_SECONDS),
        ("?timeout=3s", 3),
        ("?timeout=1s&x=y", 1),
        ("?x=y&timeout=500ms", 0.5),
        ("?timeout=0s", DEFAULT_SECONDS),
        ("?timeout=99s", 30),
        ("?timeout=3", DEFAULT_SECONDS),
        ("?timeout=-3s", DEFAULT_SECONDS),
        ("?timeout=soon", DEFAULT_SECONDS),
    ],
)
def test_timeout_of_the_url_is_the_deadline(query: str, seconds: float) -> None:
    assert Deadlines("/mutate").seconds(f"/mutate{query}") == seconds


def test_other_paths_have_none() -> None:
    for target in ("/", "/mutated", "/mutate/x", "", "?timeout=3s"):
        with pytest.raises(KeyError):
            Deadlines("/mutate").seconds(target)


def test_many_different_urls_do_not_fill_the_memory() -> None:
    deadlines = Deadlines("/mutate")
    for number in range(1000):
        assert deadlines.seconds(f"/mutate?n={number}&timeout=2s") == 2
    assert len(deadlines._known) < 100
