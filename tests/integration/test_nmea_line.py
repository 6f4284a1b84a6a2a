"""A receiver's sentences on a serial line, through the daemon, to `sensord tail --json`.

The recordings here are made up; real ones and gpsd's answers to them are compared in the same way
by `tests/kit/gpsd.py`, which is also what is tested here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.gpsd import compare, play, sentences_of
from tests.unit.decode.nmea0183.sealing import sealed

EPOCHS = 12
SATELLITES = [(3, 41, 50, 46), (7, 60, 317, 49), (8, 34, 315, 45), (11, 35, 148, 0), (39, 0, 0, 34)]


def epochs() -> Iterator[tuple[list[bytes], list[dict[str, object]]]]:
    """Yield what a receiver sends each second of a journey, and what gpsd would answer."""
    for i in range(EPOCHS):
        south, west = 361271 + 17 * i, 264523 + 29 * i  # in ten-thousandths of a minute, from 37 76
        metres, knots, degrees = 2688 - 3 * i, 52 + i, 773 + 9 * i  # in tenths
        where = f"37{south / 1e4:07.4f},S,076{west / 1e4:07.4f},W"
        clock = f"1251{i:02}.00"
        fix = {
            "lat": round(-37 - south / 600_000, 9),
            "lon": round(-76 - west / 600_000, 9),
            "speed": round(knots / 10 * 1852 / 3600, 3),
            "track": degrees / 10,
            "alt": metres / 10,
            "time": f"2025-10-24T12:51:{i:02}.000Z",
        }
        sky = {
            "pdop": 3.6,
            "vdop": 3.0,
            "nSat": len(SATELLITES),
            "satellites": [
                dict(zip(("PRN", "el", "az", "ss"), each, strict=True)) for each in SATELLITES
            ],
        }
        view = ["{:02},{:02},{:03},{:02}".format(*each) for each in SATELLITES]
        sentences = [
            f"GPGGA,{clock},{where},1,05,2.0,{metres / 10},M,-33.9,M,,",
            f"GPRMC,{clock},A,{where},{knots / 10},{degrees / 10},241025,10.5,W,A",
            "GPGSA,A,3,03,07,08,11,39,,,,,,,,3.6,2.0,3.0",
            f"GPGSV,2,1,05,{','.join(view[:4])}",
            f"GPGSV,2,2,05,{view[4]}",
        ]
        yield (
            [sealed(each) for each in sentences],
            [{"class": "TPV", **fix}, {"class": "SKY", **sky}],
        )


def test_what_a_receiver_tells_reaches_tail_to_the_last_digit(tmp_path: Path) -> None:
    """Position, time, speed, course, height and satellites, from a line paced as at 38,400 baud."""
    log, check = [b"# Name: made up"], []
    for sentences, answers in epochs():
        log += sentences
        check += sentences + [json.dumps(answer).encode() for answer in answers]
    lines = sentences_of(b"\n".join(log))
    played = play(lines, tmp_path, baud=38_400)
    result = compare(lines, b"\n".join(check), played.readings)
    assert (played.messages, played.faults) == (len(lines), {})
    assert result.differences == []
    assert result.equal == result.compared
    assert result.compared == dict.fromkeys(
        ("lat", "lon", "time", "speed", "track", "alt", "pdop", "vdop", "nSat", "satellites"),
        EPOCHS,
    )
    assert {reading["quality"] for reading in played.readings} == {"good"}


def test_a_comparison_finds_what_differs(tmp_path: Path) -> None:
    """The check above bites: a value that is off, a date that rolled over, a lost reading."""
    sentences, answers = next(epochs())
    answers[0] |= {"lat": -37.0, "time": "2045-06-09T12:51:00.000Z"}
    check = b"\n".join([*sentences, *(json.dumps(each).encode() for each in answers)])
    readings = play(sentences, tmp_path, paced=False).readings
    result = compare(sentences, check, readings)
    assert [(each.quantity, each.theirs) for each in result.differences] == [("lat", -37.0)]
    assert result.within == {"time": 1}
    lost = [each for each in readings if each["topic"] != "gnss/altitude"]
    with pytest.raises(AssertionError, match="no alt of"):
        compare(sentences, check, lost)


CYCLES = 400

YACHT = {
    "IIVHW,,T,,M,06.{i:02},N,11.31,K": ["speed_through_water"],
    "IIVPW,4.{i:02},N,,": ["speed_parallel_to_wind"],
    "IIVTG,224.{i:02},T,224.44,M,5.81,N,,,D": [
        "course_over_ground",
        "course_over_ground_magnetic",
        "speed_over_ground",
    ],
    "IIMWV,338,R,13.{i:02},N,A": ["wind_angle_apparent", "wind_speed_apparent"],
    "IIVWT,039,L,08.{i:02},N,04.17,M,,": ["wind_angle_true", "wind_speed_true"],
    "IIHDT,,T": [],
    "GPWCV,,N,,D": [],
    "GPXTE,A,A,,R,N,D": [],
    "GPZDA,0955{i:02},,,,00": [],
    "IIDBT,034.25,f,010.{i:02},M,005.64,F": ["depth_below_transducer"],
    "GPGLL,6005.0{i:02},N,02332.346,E,0955{i:02},A,D": ["latitude", "longitude"],
    "GPGSV,,,,,,,,,,,,,,,,,,,": [],
    "IIHDM,,M": [],
    "IIMWD,,,,,08.{i:02},N,04.20,M": ["wind_speed_true"],
    "IIVDR,,,,,,N": [],
}
"""What a yacht's instruments send, empty fields and all, and the fields that it gives."""

DAMAGED_EVERY = 20


def test_no_line_of_a_yacht_is_lost_and_every_damaged_one_is_counted(tmp_path: Path) -> None:
    """Six thousand lines as fast as the daemon takes them, one in twenty with a byte changed."""
    lines = [sealed(each.format(i=i % 60)) for i in range(CYCLES) for each in YACHT]
    whole = play(lines, tmp_path, paced=False)
    assert (whole.messages, whole.faults) == (len(lines), {})
    given = Counter(reading["topic"].removeprefix("gnss/") for reading in whole.readings)
    assert given == Counter(CYCLES * [field for fields in YACHT.values() for field in fields])
    for i in range(0, len(lines), DAMAGED_EVERY):
        lines[i] = lines[i].replace(b",", b";", 1)
    damaged = play(lines, tmp_path, paced=False)
    assert damaged.messages == len(lines)
    assert damaged.faults == {"wrong checksum": len(lines) // DAMAGED_EVERY}
