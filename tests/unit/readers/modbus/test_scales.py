"""Values are multiplied by the power of ten that another register holds."""

from __future__ import annotations

from sensord.decode.base import Sample
from sensord.model.readings import Value
from sensord.readers.modbus.options import Config, Register, Unit
from sensord.readers.modbus.scales import Scales
from tests.unit.decode.streams import config_faults


def values(scales: Scales, **samples: Value) -> dict[str, Value]:
    """Return what comes out of samples."""
    found = scales.applied(Sample(name, value) for name, value in samples.items())
    return {one.field: one.value for one in found}


def test_the_power_gives_no_reading_and_is_kept() -> None:
    """It may come in another answer, before or after its value."""
    scales = Scales({"power": "W_SF"})
    assert values(scales, power=2841) == {}
    assert values(scales, power=2841, W_SF=-1, state=4) == {"power": 284.1, "state": 4}
    assert values(scales, power=2842) == {"power": 284.2}
    assert values(scales, W_SF=2, power=3) == {"power": 300.0}


def test_a_power_that_is_none_makes_no_value() -> None:
    """SunSpec writes 8000 hexadecimal where a model lacks a register."""
    scales = Scales({"power": "W_SF"})
    values(scales, W_SF=0)
    assert values(scales, W_SF=-32768, power=1) == {}


def test_a_power_must_be_a_register_of_the_unit() -> None:
    """And a whole number."""
    table = {"unit": 1, "registers": {"a": {"address": 0, "scale_from": "b"}}}
    assert "names another register" in config_faults(Unit, table)[0]
    register = Register(address=0, scale_from="sf")
    unit = Unit(unit=1, registers={"a": register, "sf": Register(address=1, type="i16")})
    plan = Config(units={"u": unit}, port="/dev/x").plans()["u"]
    assert plan.scales == {"a": "sf"}
