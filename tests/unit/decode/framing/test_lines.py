"""Lines come out whole, however the stream was cut and whatever was in it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sensord.decode.base import Fault
from sensord.decode.framing.lines import BEFORE_START, NO_START, TOO_LONG, Config, LineFramer
from tests.unit.decode.streams import config_faults, cut_points, feed_in_pieces, pieces

configs = st.builds(
    Config,
    max_bytes=st.integers(1, 12),
    terminator=st.sampled_from(["\n", "\r", "\r\n", "\n\n", ";", "aab", "aa"]),
    start=st.sampled_from(["", "$", "\x02", "ab"]),
    discard_first=st.booleans(),
)
noisy = st.lists(
    st.sampled_from([b"\n", b"\r", b";", b"a", b"b", b"$", b"\x02", b" ", b"\xff", b"12.5"]),
    max_size=60,
).map(b"".join)


def test_a_line_comes_out_without_its_end() -> None:
    """LF, CR LF, CR CR LF and LF CR all end a line."""
    framer = LineFramer(Config())
    assert framer.feed(b"a\nb\r\nc\r\r\nd\n\re\n") == ([b"a", b"b", b"c", b"d", b"e"], [])


def test_an_incomplete_line_waits_for_its_end() -> None:
    """Nothing comes out before the terminator."""
    framer = LineFramer(Config())
    assert framer.feed(b"21") == ([], [])
    assert framer.feed(b".5") == ([], [])
    assert framer.feed(b"\n3") == ([b"21.5"], [])


def test_blank_lines_are_skipped_without_a_fault() -> None:
    """Empty lines and lines of spaces say nothing."""
    assert LineFramer(Config()).feed(b"\r\n\n  \t\na\n") == ([b"a"], [])


def test_a_lone_carriage_return_ends_a_line_when_configured() -> None:
    """With CR as terminator CR LF works as well."""
    framer = LineFramer(Config(terminator="\r"))
    assert framer.feed(b"a\rb\r\nc\r") == ([b"a", b"b", b"c"], [])


def test_a_terminator_of_several_bytes_may_be_cut() -> None:
    """Half a terminator at the end of one read is completed by the next."""
    framer = LineFramer(Config(terminator="\r\n"))
    assert framer.feed(b"a\nb\r") == ([], [])
    assert framer.feed(b"\nc") == ([b"a\nb"], [])


def test_an_overlong_line_is_one_fault_and_the_next_line_is_fine() -> None:
    """The bytes up to the next terminator are thrown away."""
    framer = LineFramer(Config(max_bytes=4))
    assert framer.feed(b"12345") == ([], [Fault(TOO_LONG, b"1234")])
    assert framer.feed(b"6789" * 1000) == ([], [])
    assert framer.feed(b"0\nok\n") == ([b"ok"], [])


def test_an_overlong_line_that_comes_at_once_is_the_same_fault() -> None:
    """A line of just the cap passes, one byte more does not."""
    framer = LineFramer(Config(max_bytes=4))
    assert framer.feed(b"1234\n12345\nok\n") == ([b"1234", b"ok"], [Fault(TOO_LONG, b"1234")])


def test_an_endless_line_is_not_kept() -> None:
    """What is held never exceeds the cap."""
    framer = LineFramer(Config(max_bytes=100))
    for _ in range(1000):
        framer.feed(b"x" * 99)
        assert len(framer._held) <= 100


def test_reset_drops_the_partial_line_silently() -> None:
    """After an interruption the rest of the old line does not join the new one."""
    framer = LineFramer(Config())
    framer.feed(b"21.")
    framer.reset()
    assert framer.feed(b"40\n") == ([b"40"], [])


def test_reset_ends_the_discarding_of_an_overlong_line() -> None:
    """A new connection starts with a new line."""
    framer = LineFramer(Config(max_bytes=4))
    framer.feed(b"123456")
    framer.reset()
    assert framer.feed(b"ok\n") == ([b"ok"], [])


def test_the_first_line_can_be_distrusted_each_time() -> None:
    """What we came in the middle of is dropped without a fault, also after a reset."""
    framer = LineFramer(Config(discard_first=True))
    assert framer.feed(b"half\nwhole\n") == ([b"whole"], [])
    framer.reset()
    assert framer.feed(b"ha") == ([], [])
    assert framer.feed(b"lf\nwhole\n") == ([b"whole"], [])


def test_a_discarded_first_line_may_be_of_any_length() -> None:
    """It is not a fault that noise before the first line end was long."""
    framer = LineFramer(Config(discard_first=True, max_bytes=4))
    assert framer.feed(b"x" * 1000) == ([], [])
    assert framer.feed(b"\nok\n") == ([b"ok"], [])


def test_what_stands_before_the_start_is_dropped() -> None:
    """Blanks silently, anything else with a fault; the message is still used."""
    framer = LineFramer(Config(start="\x02", terminator="\x03"))
    assert framer.feed(b"\x0221.5\x03\r\n\x0222.5\x03") == ([b"21.5", b"22.5"], [])
    assert framer.feed(b"xx\x0223.5\x03") == ([b"23.5"], [Fault(BEFORE_START, b"xx")])


def test_a_message_that_another_interrupts_is_a_fault() -> None:
    """The last start counts."""
    framer = LineFramer(Config(start="$"))
    assert framer.feed(b"$one$two\n") == ([b"two"], [Fault(BEFORE_START, b"$one")])


def test_a_line_without_its_start_is_a_fault() -> None:
    """Unless it is blank."""
    framer = LineFramer(Config(start="$"))
    assert framer.feed(b"one\n \n$\n") == ([], [Fault(NO_START, b"one")])


@example(Config(max_bytes=1, terminator="aab"), b"aaab", [1, 2, 3])
@example(Config(max_bytes=2, terminator="\n\n"), b"xx\n\n\ny\n\n", [3, 4])
@given(configs, noisy, cut_points)
def test_any_cut_gives_the_same(config: Config, data: bytes, points: list[int]) -> None:
    """Messages and faults do not depend on how the bytes arrived."""
    whole = feed_in_pieces(LineFramer(config), iter([data]))
    assert feed_in_pieces(LineFramer(config), pieces(data, points)) == whole
    bytewise = (data[i : i + 1] for i in range(len(data)))
    assert feed_in_pieces(LineFramer(config), bytewise) == whole


@given(configs, st.lists(st.binary(max_size=40), max_size=8))
def test_no_bytes_raise_and_no_message_exceeds_the_cap(config: Config, parts: list[bytes]) -> None:
    """Whatever arrives, what comes out is short and not blank."""
    messages, _ = feed_in_pieces(LineFramer(config), iter(parts))
    for message in messages:
        assert message.strip()
        assert len(message) <= config.max_bytes


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"terminator": ""}, "terminator: may not be empty"),
        ({"max_bytes": 0}, 'max_bytes: expected a size from "1B" to "16MiB", got 0'),
        ({"start": "\n"}, "start: must differ from the terminator"),
        ({"terminator": "\n$", "start": "$"}, "start: must differ from the terminator"),
        ({"terminator": "€"}, "terminator: each character stands for one byte, \\u0000 to \\u00FF"),
        ({"start": "€"}, "start: each character stands for one byte, \\u0000 to \\u00FF"),
    ],
)
def test_an_unusable_framing_is_refused(table: dict[str, object], fault: str) -> None:
    """The fault names the key and what to do."""
    assert config_faults(Config, table) == [fault]


def test_a_usable_framing_has_no_faults() -> None:
    """Sizes may be written with their unit."""
    table = {"max_bytes": "16KiB", "terminator": "\x03", "start": "\x02", "discard_first": True}
    assert config_faults(Config, table) == []


@given(noisy, st.sampled_from([b">", b"aab", b"\r"]), st.data())
def test_a_prompt_ends_a_line_however_the_stream_is_cut(
    stream: bytes, prompt: bytes, data: st.DataObject
) -> None:
    """As if it were a line feed."""
    config = Config(max_bytes=12, prompt=prompt.decode())
    stream = stream.replace(b";", prompt)
    whole = LineFramer(Config(max_bytes=12)).feed(stream.replace(prompt, b"\n"))
    messages, _ = feed_in_pieces(LineFramer(config), pieces(stream, data.draw(cut_points)))
    assert messages == whole.messages


def test_lines_before_a_prompt_are_messages_of_their_own() -> None:
    """And nothing of the prompt stands in the next one."""
    framer = LineFramer(Config(prompt="OK>"))
    assert framer.feed(b"1\r\n2\r\nO") == ([b"1", b"2"], [])
    assert framer.feed(b"K>3\r\nOK>") == ([b"3"], [])


def test_a_prompt_has_no_character_of_the_terminator() -> None:
    """Where it ends would depend on how the stream is cut."""
    for prompt in ("\n>", "\u0416"):
        (fault,) = config_faults(Config, {"prompt": prompt})
        assert fault.startswith("prompt: ")
