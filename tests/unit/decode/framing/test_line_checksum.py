"""Checksums of lines, wherever they stand and however they are written."""

from __future__ import annotations

import pytest

from sensord.decode.framing.line_checksum import WRONG, LineChecksum, TextChecksum
from sensord.decode.framing.lines import Config, LineFramer
from tests.unit.decode.streams import config_faults


def framed(config: Config, data: bytes) -> tuple[list[bytes], list[str]]:
    found = LineFramer(config).feed(data)
    return found.messages, [fault.reason for fault in found.faults]


NMEA = TextChecksum(type="xor8", after="$", before="*")


def test_a_line_is_used_without_its_checksum_and_not_at_all_if_it_is_wrong() -> None:
    """A missing one is a wrong one."""
    config = Config(checksum=NMEA)
    assert framed(config, b"$INMTW,17.9,C*1B\r\n") == ([b"$INMTW,17.9,C"], [])
    assert framed(config, b"$INMTW,17.8,C*1B\n$INMTW,17.9,C\n\n") == ([], [WRONG, WRONG])


def test_a_message_between_marks_with_its_checksum_behind() -> None:
    """As an anemometer sends it."""
    config = Config(start="\x02", checksum=TextChecksum(type="xor8", before="\x03"))
    assert framed(config, b"\x02Q,229,002.74,M,00,\x0316\r\n") == (
        [b"Q,229,002.74,M,00,"],
        [],
    )
    assert framed(config, b"\x02Q,229,092.74,M,00,\x0316\r\n") == ([], [WRONG])


def test_the_french_meter_has_one_character_behind_each_group() -> None:
    """Historical mode leaves out the blank before it, standard mode counts it."""
    old = Config(
        terminator="\r",
        start="\n",
        checksum=TextChecksum(type="sum6_linky", form="raw", before=" "),
    )
    stream = b"\x02\nADCO 040422040644 5\r\nOPTARIF BASE 0\r\x03\x02\nISOUSC 45 ?\r"
    assert framed(old, stream) == ([b"ADCO 040422040644", b"OPTARIF BASE", b"ISOUSC 45"], [])
    assert framed(old, b"\nISOUSC 46 ?\r")[1] == [WRONG]


@pytest.mark.parametrize(
    ("config", "line", "content"),
    [
        (TextChecksum(type="sum8", form="decimal", before="#"), b"ab#195", b"ab"),
        (TextChecksum(type="crc16_modbus", byte_order="little"), b"123456789374B", b"123456789"),
        (
            TextChecksum(type="crc16_modbus", form="raw", byte_order="little"),
            b"123456789\x37\x4b",
            b"123456789",
        ),
        (TextChecksum(type="sum8", before="*", includes_before=True), b"ab*ED", b"ab"),
        (TextChecksum(type="xor8", after="$", includes_after=True), b"$a45", b"$a"),
        (TextChecksum(type="xor8", form="raw", before=","), b"a,\x2c,b", None),
    ],
)
def test_where_it_stands_and_how_it_is_written_is_configured(
    config: TextChecksum, line: bytes, content: bytes | None
) -> None:
    """With and without the marks."""
    assert LineChecksum(config).checked(line) == content


@pytest.mark.parametrize("line", [b"", b"A", b"ab*", b"ab*zz", b"ab*1", b"no mark"])
def test_a_line_that_is_too_short_or_has_no_checksum_is_refused(line: bytes) -> None:
    """Nothing raises."""
    assert LineChecksum(TextChecksum(type="xor8", before="*")).checked(line) is None
    assert (
        LineChecksum(TextChecksum(type="crc32", form="raw", byte_order="little")).checked(line)
        is None
    )


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"type": "sum8", "form": "decimal"}, "before: is needed with a decimal checksum"),
        ({"type": "sum8", "includes_after": True}, "includes_after: has no effect without after"),
        ({"type": "sum8", "before": "\u1234"}, "before: each character stands for one byte"),
        ({"type": "luhn"}, "type: expected one of"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    table: dict[str, object], fault: str
) -> None:
    """With what to do."""
    assert any(one.startswith(fault) for one in config_faults(TextChecksum, table))
