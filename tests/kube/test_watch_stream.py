"""Lines and events of a watch, without a server."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sutler.kube.watch_stream import StreamBroken, WatchLines, decode, key_of


@given(st.lists(st.binary().map(lambda line: line.replace(b"\n", b""))), st.data())
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines) + b"the cut one"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    splitter = WatchLines()
    got = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += splitter.feed(stream[start:end])
    assert got == lines


def test_line_of_many_chunks_costs_no_more_than_its_length() -> None:
    splitter = WatchLines()
    for _ in range(1000):
        assert splitter.feed(b"x" * 65_536) == []
    assert [len(line) for line in splitter.feed(b"\n")] == [65_536_000]


def test_event_is_decoded() -> None:
    event = decode(b'{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"n","resourceVersion":"7"}}}')
    assert (event.type, key_of(event.object)) == ("ADDED", "n/a")
    assert decode(b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}').type == "BOOKMARK"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"<html>",
        b"\xff\xfe",
        b'{"type":"ADDED"}',
        b'{"type":"ADDED","object":null}',
        b'{"type":"ADDED","object":{}}',
        b'{"type":"ADDED","object":{"metadata":null}}',
        b'{"type":"ADDED","object":{"metadata":{}}}',
        b'{"type":"ADDED","object":{"metadata":"text"}}',
        b'{"type":"BOOKMARK","object":{}}',
        b'{"type":"ERROR","object":{}}',
        b"[" * 100_000,
    ],
)
def test_anything_else_breaks_the_stream_and_is_not_quoted(line: bytes) -> None:
    with pytest.raises(StreamBroken) as raised:
        decode(line)
    assert "html" not in str(raised.value)


def test_error_event_says_what_the_server_said() -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    with pytest.raises(StreamBroken, match="410 Expired: too old"):
        decode(json.dumps({"type": "ERROR", "object": status}).encode())
