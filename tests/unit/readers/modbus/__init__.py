"""The pure parts of the Modbus reader."""
