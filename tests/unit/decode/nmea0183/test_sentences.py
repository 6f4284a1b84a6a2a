"""What each sentence holds, against values reckoned by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.base import Sample
from sensord.decode.nmea0183 import Config, Decoder
from sensord.decode.nmea0183.decoder import BAD_FIELD
from sensord.decode.nmea0183.quantities import FIELDS, LIMITS
from sensord.decode.nmea0183.sentences import (
    ESTIMATED,
    INVALID,
    MANUAL,
    MAX_TRANSDUCERS,
    NO_FIX,
    SENTENCES,
    SIMULATED,
)
from sensord.model.readings import GOOD, Quality, ValueType
from tests.unit.decode.nmea0183.sealing import decoded, sealed, values


def qualities(body: str) -> dict[str, Quality]:
    """Return the quality of each field."""
    return {sample.field: sample.quality for sample in decoded(body)}


def faulty(body: str) -> list[Sample]:
    """Return the samples of a sentence that has a bad field."""
    samples, faults = Decoder(Config()).decode(sealed(body))
    assert [fault.reason for fault in faults] == [BAD_FIELD]
    return samples


KNOWN: list[tuple[str, dict[str, object]]] = [
    (
        "GPGGA,123519.00,4807.038,N,01131.000,E,2,08,0.9,545.4,M,46.9,M,3.2,0120",
        {
            "latitude": 48 + 7.038 / 60,
            "longitude": 11 + 31 / 60,
            "fix_quality": 2,
            "satellites_used": 8,
            "hdop": 0.9,
            "altitude": 545.4,
            "geoid_separation": 46.9,
            "differential_age": 3.2,
        },
    ),
    (
        "GPGGA,,4807.038,S,,,1,04,,,M,,M,,",
        {"latitude": -(48 + 7.038 / 60), "fix_quality": 1, "satellites_used": 4},
    ),
    ("WIMTA,22.3,C", {"air_temperature": 22.3}),
    ("WIMHU,80,,15.4,C", {"relative_humidity": 80.0, "dew_point": 15.4}),
    ("WIMMB,29.9870,I,1.0154,B", {"air_pressure": 1.0154}),
    ("WIMMB,29.9870,I", {"air_pressure": 1.0155}),
    ("YXXDR,C,20,C", {"xdr/temperature_1": 20.0}),
    (
        "GPGLL, 4916.45,N ,12311.12 ,W",
        {"latitude": 49 + 16.45 / 60, "longitude": -(123 + 11.12 / 60)},
    ),
    ("GPGLL,4916.45,N,12311.12,W", {"latitude": 49 + 16.45 / 60, "longitude": -(123 + 11.12 / 60)}),
    (
        "GPGLL,4916.45,N,12311.12,W,225444,A",
        {"latitude": 49 + 16.45 / 60, "longitude": -(123 + 11.12 / 60)},
    ),
    ("GPGLL,,,,,225444,A,D", {}),
    (
        "GNGNS,112257.00,3844.24011,N,00908.43828,W,AN,03,10.5,88.1,50.2,1.5,0120,V",
        {
            "latitude": 38 + 44.24011 / 60,
            "longitude": -(9 + 8.43828 / 60),
            "satellites_used": 3,
            "hdop": 10.5,
            "altitude": 88.1,
            "geoid_separation": 50.2,
            "differential_age": 1.5,
        },
    ),
    (
        "GNGSA,A,3,80,71,73,79,69,,,,,,,,1.83,1.09,1.47,2",
        {"fix_mode": 3, "pdop": 1.83, "hdop": 1.09, "vdop": 1.47},
    ),
    ("GPGSV,3,1,11,03,03,111,00,04,15,270,00", {"satellites_in_view/gps": 11}),
    ("GLGSV,1,1,08", {"satellites_in_view/glonass": 8}),
    ("IIGSV,1,1,08", {"satellites_in_view": 8}),
    ("GPGSV,3,2,11,03,03,111,00,04,15,270,00", {}),
    ("GPGSV,,,,,,,,,,,,,,,,,,,", {}),
    (
        "GPRMC,225446.5,A,4916.45,N,12311.12,W,000.5,054.7,191194,020.3,E",
        {
            "time": "1994-11-19T22:54:46.500Z",
            "latitude": 49 + 16.45 / 60,
            "longitude": -(123 + 11.12 / 60),
            "speed_over_ground": 0.5,
            "course_over_ground": 54.7,
            "magnetic_variation": 20.3,
        },
    ),
    (
        "GPRMC,,A,,,,,5.0,,,15.8,W,D,V",
        {"speed_over_ground": 5.0, "magnetic_variation": -15.8},
    ),
    (
        "GPVTG,220.86,T,217.1,M,2.550,N,4.724,K,A",
        {
            "course_over_ground": 220.86,
            "course_over_ground_magnetic": 217.1,
            "speed_over_ground": 2.55,
        },
    ),
    ("GPVTG,,,,,,,,,N", {}),
    (
        "GPVTG,220,217,2.5,4.7",
        {
            "course_over_ground": 220.0,
            "course_over_ground_magnetic": 217.0,
            "speed_over_ground": 2.5,
        },
    ),
    ("GPZDA,160012.71,11,03,2004,-1,00", {"time": "2004-03-11T16:00:12.710Z"}),
    ("GPZDA,095559,,,,00,", {}),
    ("HEHDT,274.07,T", {"heading_true": 274.07}),
    ("IIHDT,,T", {}),
    ("HCHDM,12,M", {"heading_magnetic": 12.0}),
    ("HCHDM,12,", {"heading_magnetic": 12.0}),
    (
        "HCHDG,98.3,,,12.6,W",
        {"heading_magnetic": 98.3, "magnetic_variation": -12.6},
    ),
    (
        "HCHDG,359.5,1.1,E,,",
        {"heading_magnetic": 0.6, "magnetic_deviation": 1.1},
    ),
    (
        "HCHDG,0.5,1.1,W,,",
        {"heading_magnetic": 359.4, "magnetic_deviation": -1.1},
    ),
    ("HCHDG,,1.1,W,,", {"magnetic_deviation": -1.1}),
    ("HEROT,-12.5,A", {"rate_of_turn": -12.5}),
    ("IIRSA,-3.5,A,2.0,A", {"rudder_angle": -3.5, "rudder_angle_port": 2.0}),
    (
        "IIVHW,245.1,T,243.2,M,6.11,N,11.31,K",
        {"heading_true": 245.1, "heading_magnetic": 243.2, "speed_through_water": 6.11},
    ),
    ("IIVHW,,,,,,N,11.31,K", {"speed_through_water": 11.31}),
    (
        "IIVLW,1234.5,N,12.3,N",
        {"distance_through_water": 1234.5, "distance_since_reset": 12.3},
    ),
    (
        "IIVDR,10.1,T,12.3,M,1.2,N",
        {"current_direction_true": 10.1, "current_direction_magnetic": 12.3, "current_speed": 1.2},
    ),
    ("IIVPW,-4.71,N,,", {"speed_parallel_to_wind": -4.71}),
    ("IIVPW,,,2.42,M", {"speed_parallel_to_wind": 2.42}),
    ("GPWCV,3.1,N,HOME,A", {"waypoint_closing_speed": 3.1}),
    ("GPXTE,A,A,0.67,L,N", {"cross_track_error": -0.67}),
    ("GPXTE,A,A,0.67,R,N,D", {"cross_track_error": 0.67}),
    ("GPXTE,V,V,,,N,S", {}),
    ("SDDBT,7.8,f,2.4,M,1.3,F", {"depth_below_transducer": 2.4}),
    ("SDDBT,10.0,f,,M,,F", {"depth_below_transducer": 3.048}),
    ("SDDBT,,f,,M,2.0,F", {"depth_below_transducer": 3.6576}),
    ("SDDBT,,f,,M,,F", {}),
    ("SDDBK,,f,2.4,M,,F", {"depth_below_keel": 2.4}),
    ("SDDBS,,f,2.4,M,,F", {"depth_below_surface": 2.4}),
    ("INDPT,2.3,-0.5", {"depth_below_transducer": 2.3, "transducer_offset": -0.5}),
    ("INMTW,17.9,C", {"water_temperature": 17.9}),
    ("IIMWV,338,R,13.41,N,A", {"wind_angle_apparent": 338.0, "wind_speed_apparent": 13.41}),
    ("IIMWV,313,T,8.16,M,A", {"wind_angle_true": 313.0, "wind_speed_true": 8.16}),
    ("IIMWV,,,,,V", {}),
    ("IIVWR,047.5,L,08.16,N,,M,,K", {"wind_angle_apparent": 312.5, "wind_speed_apparent": 8.16}),
    ("IIVWT,047,R,,N,04.20,M,,K", {"wind_angle_true": 47.0, "wind_speed_true": 4.2}),
    ("IIVWT,0,L,,,,,,", {"wind_angle_true": 0.0}),
    (
        "WIMWD,289.1,T,285.0,M,8.16,N,4.20,M",
        {"wind_direction_true": 289.1, "wind_direction_magnetic": 285.0, "wind_speed_true": 8.16},
    ),
    (
        "WIMDA,29.8,I,1.013,B,21.5,C,17.9,C,55.1,8.2,12.3,C,289.1,T,285.0,M,8.1,N,4.2,M",
        {
            "air_pressure": 1.013,
            "air_temperature": 21.5,
            "water_temperature": 17.9,
            "relative_humidity": 55.1,
            "absolute_humidity": 8.2,
            "dew_point": 12.3,
            "wind_direction_true": 289.1,
            "wind_direction_magnetic": 285.0,
            "wind_speed_true": 8.1,
        },
    ),
    ("WIMDA,30.0,I,,", {"air_pressure": 1.0159}),
    ("WIMDA,,I,,B", {}),
    (
        "HCXDR,A,171,D,PITCH,C,21.5,C,Air Temp,P,1.013,B,,G,367,,MAGX,Q,1,,",
        {
            "xdr/PITCH": 171.0,
            "xdr/Air Temp": 21.5,
            "xdr/pressure_3": 1.013,
            "xdr/MAGX": 367.0,
            "xdr/transducer_5": 1.0,
        },
    ),
    ("HCXDR,A,,D,PITCH", {}),
]


@pytest.mark.parametrize(("body", "expected"), KNOWN, ids=[body for body, _ in KNOWN])
def test_a_sentence_holds_these_values(body: str, expected: dict[str, object]) -> None:
    """All of them, and nothing else."""
    found = values(body)
    assert found.keys() == expected.keys()
    for field, value in expected.items():
        assert found[field] == (pytest.approx(value, abs=1e-9) if type(value) is float else value)
        assert type(found[field]) is type(value)


def test_every_sentence_is_tried() -> None:
    """A new one needs a line above."""
    assert {body[2:5] for body, _ in KNOWN} == set(SENTENCES)


@pytest.mark.parametrize("body", [body for body, _ in KNOWN])
def test_every_field_has_metadata(body: str) -> None:
    """Its type is that of its values."""
    decoder = Decoder(Config(satellites=True))
    types = {ValueType.FLOAT: float, ValueType.INT: int, ValueType.STRING: str}
    types[ValueType.JSON] = list
    for sample in decoded(body, decoder):
        metadata = decoder.metadata(sample.field)
        assert metadata is not None
        assert type(sample.value) is types[metadata.type]


def test_every_field_is_told_by_some_sentence() -> None:
    """The table holds nothing that never comes."""
    told = {field.partition("/")[0] for _, expected in KNOWN for field in expected}
    assert set(FIELDS) - {"satellites"} == told - {"xdr"}


@pytest.mark.parametrize(
    ("body", "quality"),
    [
        ("GPRMC,225446,V,4916.45,N,12311.12,W,0.5,54.7,191194,20.3,E", NO_FIX),
        ("GPRMC,225446,V,4916.45,N,12311.12,W,0.5,54.7,191194,20.3,E,N", NO_FIX),
        ("GPRMC,225446,,4916.45,N,12311.12,W,0.5,54.7,191194,20.3,E,A", NO_FIX),
        ("GPRMC,225446,V,4916.45,N,12311.12,W,0.5,54.7,191194,20.3,E,S", SIMULATED),
        ("GPRMC,225446,A,4916.45,N,12311.12,W,0.5,54.7,191194,20.3,E,E", ESTIMATED),
        ("GPRMC,225446,A,4916.45,N,12311.12,W,0.5,54.7,191194,20.3,E,R", GOOD),
        ("GPGLL,4916.45,N,12311.12,W,225444,V", NO_FIX),
        ("GPGLL,4916.45,N,12311.12,W,225444,A,M", MANUAL),
        ("GPGLL,4916.45,N,12311.12,W,225444,D", GOOD),
        ("GPVTG,220.86,T,,M,2.550,N,4.724,K,N", NO_FIX),
        ("GPWCV,3.1,N,HOME,S", SIMULATED),
        ("HEROT,1,V", INVALID),
        ("IIRSA,1,V,1,", INVALID),
        ("IIMWV,338,R,13.41,N,V", INVALID),
        ("GPXTE,A,V,0.67,L,N", INVALID),
    ],
)
def test_what_the_sentence_calls_void_keeps_its_value(body: str, quality: Quality) -> None:
    """Under the quality that its status or its mode indicator means."""
    found = decoded(body)
    assert found
    assert {sample.quality for sample in found} == {quality}
    assert all(sample.value is not None for sample in found)


@pytest.mark.parametrize(
    ("mode", "quality"),
    [("0", NO_FIX), ("", NO_FIX), ("1", GOOD), ("4", GOOD), ("6", ESTIMATED), ("7", MANUAL)],
)
def test_the_fix_quality_is_good_whatever_it_says(mode: str, quality: Quality) -> None:
    """It and the number of satellites are true also without a fix; the position is not."""
    body = f"GPGGA,123519,4807.038,N,01131.000,E,{mode},00,99.9,545.4,M,46.9,M,,"
    found = qualities(body)
    assert found.pop("fix_quality", GOOD) == GOOD
    assert found.pop("satellites_used") == GOOD
    assert set(found) == {"latitude", "longitude", "hdop", "altitude", "geoid_separation"}
    assert set(found.values()) == {quality}


@pytest.mark.parametrize(
    ("modes", "quality"),
    [("NN", NO_FIX), ("", NO_FIX), ("NE", ESTIMATED), ("AN", GOOD), ("SD", GOOD)],
)
def test_one_system_with_a_fix_is_enough(modes: str, quality: Quality) -> None:
    """GNS has a mode for each."""
    found = qualities(f"GNGNS,112257.00,3844.24011,N,00908.43828,W,{modes},03,10.5,,,,")
    assert found["latitude"] == quality


def test_dilution_of_precision_is_void_without_a_fix() -> None:
    """The mode itself is good."""
    found = qualities("GPGSA,A,1,,,,,,,,,,,,,99.9,99.9,99.9")
    assert found == {"fix_mode": GOOD, "pdop": NO_FIX, "hdop": NO_FIX, "vdop": NO_FIX}


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("GPGGA,123519,4807.038,X,01131.000,E,2,08,0.9,,M,,M,,", ["longitude"]),
        ("GPGGA,123519,4807.038,E,01131.000,N,2,08,0.9,,M,,M,,", []),
        ("GPGGA,123519,4807.038,N,01131.000,E,2,x,0.9,5,f,,M,,", ["latitude", "longitude"]),
        ("GPRMC,225446,A,,,,,1.x,54.7,191194,20.3,", ["time", "course_over_ground"]),
        ("GPRMC,995446,A,,,,,,54.7,191194,,", ["course_over_ground"]),
        ("GPRMC,225446,A,,,,,,54.7,19x194,,", ["course_over_ground"]),
        ("GPRMC,225446,A,,,,,,54.7,1994,,", ["course_over_ground"]),
        ("GPRMC,225446,A,,,,,,54.7,311194,,", ["course_over_ground"]),
        ("GPZDA,225446,31,11,1994,,", []),
        ("IIHDT,12,M", []),
        ("IIVHW,12,T,,,6.11,X", ["heading_true"]),
        ("IIVHW,12,T,,,x,N", ["heading_true"]),
        ("IIMWV,338,X,13.41,N,A", []),
        ("IIVWR,47,X,8.16,N", ["wind_speed_apparent"]),
        ("GPXTE,A,A,0.67,L,K", []),
        ("GPXTE,A,A,0.67,,N", []),
        ("HCHDG,98.3,1.1,,,", ["heading_magnetic"]),
        ("HCXDR,A,1x,D,PITCH,A,2,D,ROLL", ["xdr/ROLL"]),
        ("SDDBT,1x,f,,M,,F", []),
        ("GPGSV,x,1,11,03,03,111,00", ["satellites_in_view/gps"]),
        ("IIMWV,-57295779513.1,R,3.6,M,A", ["wind_speed_apparent"]),
        ("IIMWV,214.8,R,429496.7,M,A", ["wind_angle_apparent"]),
        ("HEHDT,999.9,T", []),
        ("GPVTG,720.5,T,,M,5.5,N,,K", ["speed_over_ground"]),
        ("INMTW,-300,C", []),
        ("WIMHU,655.35,,15.4,C", ["dew_point"]),
        ("WIMDA,,I,65.5,B,-1000,C", []),
        ("SDDBT,,f,65535,M,,F", []),
        ("SDDBT,12,M,,M,,F", []),
        ("WIMMB,29.9870,B", []),
        ("HEROT,-1e9,A", []),
        ("IIRSA,999.9,A,1,A", ["rudder_angle_port"]),
        ("HCHDG,98.3,,,-20,E", ["heading_magnetic"]),
        ("YXXDR,C,-300,C,T,A,1e9,D,A,C,20,C,U", ["xdr/U"]),
    ],
)
def test_a_bad_field_spares_the_others(body: str, left: list[str]) -> None:
    """The sentence is one fault."""
    fields = [sample.field for sample in faulty(body)]
    known = {"fix_quality", "satellites_used", "hdop"}
    assert [field for field in fields if field not in known] == left


def test_transducers_tell_their_units() -> None:
    """A name seen again may change its unit; an unknown type has none."""
    decoder = Decoder(Config())
    values("HCXDR,A,171,D,PITCH,C,21.5,C,AIR,P,1.013,B,BARO,Z,1,S,LAST", decoder)
    units = {
        name: metadata.unit
        for name in ("PITCH", "AIR", "BARO", "LAST")
        if (metadata := decoder.metadata(f"xdr/{name}")) is not None
    }
    assert units == {"PITCH": "deg", "AIR": "Cel", "BARO": "bar", "LAST": ""}
    values("HCXDR,P,101300,P,BARO", decoder)
    metadata = decoder.metadata("xdr/BARO")
    assert metadata is not None
    assert metadata.unit == "Pa"


def test_remembered_transducers_are_bounded() -> None:
    """A device that makes up names does not fill the memory."""
    decoder = Decoder(Config())
    for i in range(MAX_TRANSDUCERS + 10):
        assert values(f"HCXDR,C,1,C,T{i}", decoder) == {f"xdr/T{i}": 1.0}
    assert decoder.metadata(f"xdr/T{MAX_TRANSDUCERS - 1}") is not None
    assert decoder.metadata(f"xdr/T{MAX_TRANSDUCERS}") is None
    values("HCXDR,P,1,B,T0", decoder)
    metadata = decoder.metadata("xdr/T0")
    assert metadata is not None
    assert metadata.unit == "bar"


GROUP = [
    "GPGSV,2,1,05,03,10,111,40,04,15,270,,07,20,010,35,08,,,",
    "GPGSV,2,2,05,09,30,200,44,,,,",
]
IN_GROUP: list[object] = [
    {"id": 3, "elevation": 10, "azimuth": 111, "snr": 40},
    {"id": 4, "elevation": 15, "azimuth": 270},
    {"id": 7, "elevation": 20, "azimuth": 10, "snr": 35},
    {"id": 8},
    {"id": 9, "elevation": 30, "azimuth": 200, "snr": 44},
]


def test_a_complete_group_lists_its_satellites() -> None:
    """When its last sentence has come; what is empty is left out."""
    decoder = Decoder(Config(satellites=True))
    assert values(GROUP[0], decoder) == {"satellites_in_view/gps": 5}
    assert values(GROUP[1], decoder) == {"satellites/gps": IN_GROUP}


def test_satellites_carry_their_signal() -> None:
    """NMEA 4.11 adds it after the last satellite."""
    decoder = Decoder(Config(satellites=True))
    found = values("GAGSV,1,1,01,03,10,111,40,7", decoder)
    assert found["satellites/galileo"] == [
        {"id": 3, "elevation": 10, "azimuth": 111, "snr": 40, "signal": "7"}
    ]


@pytest.mark.parametrize(
    "bodies",
    [
        [GROUP[1]],
        [GROUP[0], "GLGSV,1,1,00", GROUP[1]],
        [GROUP[0], "GPGSV,3,2,05,09,30,200,44", GROUP[1]],
        [GROUP[0], GROUP[0], "GLGSV,2,2,05,09,30,200,44"],
        [f"GPGSV,20,{i},80,09,30,200,44" for i in range(1, 21)],
        ["GPGSV,1,2,05,03,10,111,40"],
        ["GPGSV,0,0,05,03,10,111,40"],
    ],
    ids=["no first", "another between", "another total", "another talker", "endless", "2/1", "0/0"],
)
def test_an_incomplete_group_is_given_up(bodies: list[str]) -> None:
    """A list that is short would not say so."""
    decoder = Decoder(Config(satellites=True))
    for body in bodies:
        assert "satellites/gps" not in values(body, decoder)
    assert decoder._memory.group is None


def test_a_group_begun_anew_counts() -> None:
    """What came before of it is forgotten."""
    decoder = Decoder(Config(satellites=True))
    for body in (GROUP[0], GROUP[0]):
        values(body, decoder)
    assert values(GROUP[1], decoder) == {"satellites/gps": IN_GROUP}


@given(
    st.sampled_from(sorted(SENTENCES)),
    st.lists(
        st.sampled_from(
            ["", "A", "V", "T", "M", "N", "E", "1", "12.5", "-3", "4807.03", "é", "nan"]
        )
        | st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters=",*$!")),
        max_size=24,
    ),
)
def test_no_fields_raise(formatter: str, fields: list[str]) -> None:
    """Whatever stands in them, every sample is named and known."""
    decoder = Decoder(Config(satellites=True))
    for sample in decoder.decode(sealed(",".join([f"GP{formatter}", *fields]))).samples:
        assert decoder.metadata(sample.field) is not None
        assert sample.value is not None


def test_every_number_has_limits() -> None:
    """No quantity that the format defines may be anything."""
    numbers = {
        name for name, known in FIELDS.items() if known.type in {ValueType.FLOAT, ValueType.INT}
    }
    assert numbers - {"latitude", "longitude"} == set(LIMITS)  # those two have a rule of their own


def test_a_satellite_beyond_the_zenith_is_a_fault() -> None:
    """Its other numbers are used."""
    decoder = Decoder(Config(satellites=True))
    samples, faults = decoder.decode(sealed("GPGSV,1,1,01,03,99,111,40"))
    assert samples[-1].value == [{"id": 3, "azimuth": 111, "snr": 40}]
    assert [fault.reason for fault in faults] == [BAD_FIELD]
