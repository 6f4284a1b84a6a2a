"""What a fix says has the time of the fix, where that can be trusted."""

from __future__ import annotations

from datetime import UTC, datetime

from sensord.decode.base import Sample
from sensord.decode.nmea0183 import Config, Decoder
from sensord.model.readings import Reason
from tests.unit.decode.nmea0183.sealing import sealed

RMC = "GPRMC,{clock},{status},4807.038,N,01131.000,E,022.4,084.4,{day},003.1,W"
GGA = "GPGGA,{clock},4807.038,N,01131.000,E,{fix},08,0.9,545.4,M,46.9,M,,"


def us(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 10**6  # type: ignore[arg-type,misc]  # whole numbers


def samples(decoder: Decoder, body: str) -> list[Sample]:
    return decoder.decode(sealed(body)).samples


def times(decoder: Decoder, body: str) -> set[int | None]:
    return {one.time_us for one in samples(decoder, body)}


def receiver() -> Decoder:
    return Decoder(Config(source_time=True))


def rmc(clock: str, day: str, status: str = "A") -> str:
    return RMC.format(clock=clock, day=day, status=status)


def test_a_fix_has_its_own_time() -> None:
    """With a date of its own, or with the last one; not by default."""
    one = receiver()
    assert times(one, GGA.format(clock="235958.00", fix=1)) == {None}
    assert times(one, rmc("235959.50", "311226")) == {us(2026, 12, 31, 23, 59, 59) + 500_000}
    assert times(one, GGA.format(clock="000000.00", fix=1)) == {us(2027, 1, 1)}
    assert times(one, "GPGLL,4807.038,N,01131.000,E,235959,A") == {us(2026, 12, 31, 23, 59, 59)}
    assert times(one, "GPZDA,000002,01,01,2027,00,00") == {us(2027, 1, 1, 0, 0, 2)}
    assert times(one, "IIMTW,17.9,C") == {None}
    assert times(Decoder(Config()), rmc("235959", "311226")) == {None}


def test_a_receiver_without_a_fix_has_no_time() -> None:
    """Its clock drifts, or was never set; a leap second is no time of ours."""
    one = receiver()
    assert times(one, rmc("120000", "060180", "V")) == {None}
    assert times(one, GGA.format(clock="120001", fix=0)) == {None}
    assert times(one, rmc("120000", "011226")) == {us(2026, 12, 1, 12)}
    assert times(one, GGA.format(clock="120001", fix=0)) == {None}
    assert times(one, GGA.format(clock="120001", fix=6)) == {None}
    assert times(one, rmc("235960", "311226")) == {None}


def test_a_time_that_has_rolled_over_is_put_right_and_marked() -> None:
    """As the date is that is a reading."""
    one = receiver()
    found = samples(one, rmc("120000", "170407"))
    wall_us = us(2026, 12, 1, 12, 0, 1)
    mended = one.mend_dates(found, wall_us)
    assert {sample.time_us for sample in mended} == {us(2026, 12, 1, 12)}
    assert {sample.quality.reason for sample in mended} == {Reason.WEEK_ROLLOVER}
