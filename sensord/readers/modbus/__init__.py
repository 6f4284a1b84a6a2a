"""Read Modbus units: RTU on a serial line, RTU over TCP, or TCP.

A master of its own. `requests`, `rtu`, `tcp`, `values`, `groups` and `turns` know the protocol and
are pure; `options` resolves the configuration, `reader` does the talking.
"""

from sensord.readers.modbus.options import Config, Write
from sensord.readers.modbus.reader import Reader

__all__ = ["Config", "Reader", "Write"]
