"""When a refusal is said, and when again."""

from provisioner.volumes.event_deduplication import EventDeduplicator


def test_same_is_said_once_until_it_is_forgotten_and_something_else_at_once() -> None:
    told = EventDeduplicator(3600)
    assert told.is_news("a", "too small", 0)
    assert not told.is_news("a", "too small", 3599)
    assert told.is_news("a", "too small", 3600)
    assert told.is_news("a", "of no size", 3601)
    assert told.is_news("b", "of no size", 3602)
    assert not told.is_news("a", "of no size", 7200)
    assert told.is_news("b", "of no size", 7202)


def test_what_was_said_of_claims_that_are_gone_is_not_kept() -> None:
    told = EventDeduplicator(3600)
    for number in range(100):
        told.is_news(str(number), "too small", number)
    told.is_news("later", "too small", 3700)
    assert len(told) == 1


def test_what_was_right_in_between_is_news_when_it_goes_wrong_again() -> None:
    told = EventDeduplicator(3600)
    assert told.is_news("a", "too small", 0)
    told.settle("a")
    told.settle("b")
    assert told.is_news("a", "too small", 1)
