"""Requests, and what answers them."""

from __future__ import annotations

import pytest

from sensord.readers.modbus.requests import (
    EXCEPTIONS,
    Reply,
    Table,
    exception_name,
    read,
    write_coil,
    write_words,
)


@pytest.mark.parametrize(
    ("request_", "pdu"),
    [
        (read(1, Table.COIL, 19, 37), "01 00 13 00 25"),
        (read(1, Table.DISCRETE, 196, 22), "02 00 c4 00 16"),
        (read(1, Table.HOLDING, 107, 3), "03 00 6b 00 03"),
        (read(1, Table.INPUT, 8, 1), "04 00 08 00 01"),
        (write_coil(1, 172, is_on=True), "05 00 ac ff 00"),
        (write_words(1, 1, b"\0\3", at_once=False), "06 00 01 00 03"),
        (write_words(1, 1, b"\0\x0a\1\2", at_once=True), "10 00 01 00 02 04 00 0a 01 02"),
    ],
)
def test_the_examples_of_the_standard(request_: object, pdu: str) -> None:
    """Section 6 prints each of these."""
    assert request_.pdu.hex(" ") == pdu  # type: ignore[attr-defined]  # a request


def test_only_its_own_answer_is_a_reply() -> None:
    """Another function, another length and half an answer are none."""
    request = read(1, Table.HOLDING, 107, 2)
    assert request.reply(bytes.fromhex("03 04 02 2b 00 00")) == Reply(b"\x02\x2b\0\0")
    for other in ("04 04 02 2b 00 00", "03 06 02 2b 00 00 00 64", "03 04 02 2b 00", "03", ""):
        assert request.reply(bytes.fromhex(other)) is None
    assert request.reply(bytes.fromhex("83 02")) == Reply(exception=2)
    assert request.reply(bytes.fromhex("83 63")) is None


def test_every_exception_says_what_to_do() -> None:
    """Those of a gateway are not the unit's answers."""
    assert all(hint for _, hint in EXCEPTIONS.values())
    assert exception_name(2)[0] == "illegal data address"
    assert exception_name(200) == ("unknown exception", "the unit answered with exception 200")
    assert not Reply(exception=11).is_of_unit
    assert Reply(exception=2).is_of_unit
