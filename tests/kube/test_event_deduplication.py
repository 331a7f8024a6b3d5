"""When an event is emitted, and when again."""

from sutler.kube.events import EventDeduplicator


def test_same_message_is_emitted_once_per_lifetime_and_another_one_at_once() -> None:
    events = EventDeduplicator(3600)
    assert events.should_emit("a", "too small", 0)
    assert not events.should_emit("a", "too small", 3599)
    assert events.should_emit("a", "too small", 3600)
    assert events.should_emit("a", "of no size", 3601)
    assert events.should_emit("b", "of no size", 3602)
    assert not events.should_emit("a", "of no size", 7200)
    assert events.should_emit("b", "of no size", 7202)


def test_messages_of_deleted_claims_are_not_remembered() -> None:
    events = EventDeduplicator(3600)
    for number in range(100):
        events.should_emit(str(number), "too small", number)
    events.should_emit("later", "too small", 3700)
    assert len(events) == 1


def test_condition_that_was_over_is_reported_again_at_once() -> None:
    events = EventDeduplicator(3600)
    assert events.should_emit("a", "too small", 0)
    events.reset("a")
    events.reset("b")
    assert events.should_emit("a", "too small", 1)
