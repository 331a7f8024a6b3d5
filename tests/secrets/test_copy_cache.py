"""Our own writes count at once, until the watch has caught up with them."""

from dataclasses import replace

import pytest

from provisioner.secrets.planning.copies import SecretCopy
from provisioner.secrets.planning.copy_cache import RECENT_SECONDS, CopyCache

TARGET = "team-a/pull"
OLD = SecretCopy(
    mapping="pull", uid="one", version="5", type="t", fingerprint=b"", immutable=False, annotated=True, placed=True,
    foreign=False,
)  # fmt: skip
OURS = replace(OLD, version="7")
LATER = replace(OLD, version="9")


def test_our_write_counts_before_the_watch_shows_it() -> None:
    copies = CopyCache({TARGET: OLD})
    assert copies.get(TARGET) == OLD
    copies.record_write(TARGET, OURS)
    assert copies.get(TARGET) == OURS
    copies.record_write(TARGET, None)
    assert copies.get(TARGET) is None


@pytest.mark.parametrize(
    ("old", "new", "expected", "news"),
    [
        (OLD, OURS, OLD, False),  # our write itself: the store is right again
        (OLD, LATER, OLD, True),  # another client wrote after us
        (OLD, None, OLD, True),  # another client deleted it
        (None, replace(OLD, version="6"), OURS, False),  # from before our write
        (replace(OLD, uid="zero"), None, OURS, False),  # the deletion of the one before
    ],
)
def test_the_watch_ends_what_it_has_overtaken(
    old: SecretCopy | None, new: SecretCopy | None, expected: SecretCopy, news: bool
) -> None:
    copies = CopyCache({TARGET: OLD})
    copies.record_write(TARGET, OURS)
    assert copies.record_change(TARGET, old, new) is news
    assert copies.get(TARGET) == expected


def test_our_own_deletion_is_no_news_and_what_comes_after_it_is() -> None:
    watched = {TARGET: OLD}
    copies = CopyCache(watched)
    copies.record_write(TARGET, None)
    del watched[TARGET]
    assert copies.record_change(TARGET, OLD, None) is False
    assert copies.record_change(TARGET, None, LATER) is True


@pytest.mark.parametrize(
    ("watched", "wrote"),
    [
        ({}, None),  # our deletion; nothing would ever read it again, and so drop it
        ({TARGET: OURS}, OURS),
        ({TARGET: LATER}, OURS),  # another client wrote after us, and that was shown before our answer came
    ],
)
def test_a_watch_faster_than_the_answer_is_believed(watched: dict[str, SecretCopy], wrote: SecretCopy | None) -> None:
    copies = CopyCache(watched)
    copies.record_write(TARGET, wrote)
    assert copies.get(TARGET) == watched.get(TARGET)
    watched.pop(TARGET, None)
    assert copies.get(TARGET) is None
    assert copies.record_change(TARGET, OURS, None) is True, "the write is remembered"


def test_a_copy_made_and_deleted_before_the_watch_shows_it_is_not_there() -> None:
    copies = CopyCache({})
    copies.record_write(TARGET, OURS)
    copies.record_write(TARGET, None)
    assert copies.get(TARGET) is None


def test_our_write_is_forgotten_when_the_watch_never_shows_it() -> None:
    now = [100.0]
    copies = CopyCache({TARGET: OLD}, clock=lambda: now[0])
    copies.record_write(TARGET, OURS)
    now[0] += RECENT_SECONDS
    assert copies.get(TARGET) == OLD
