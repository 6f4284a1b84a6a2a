"""A Raspberry Pi Pico with a DHT22 at GP15 prints what the profile `dht_tester` reads.

Save it on the board as `main.py`; it prints over the board's USB plug.
"""

import time

import dht
import machine

PERIOD_MS = 2000  # a DHT22 measures at most every two seconds

sensor = dht.DHT22(machine.Pin(15))


def line(humidity, celsius):
    """Return a line in the form of Adafruit's sketch DHTtester."""
    return f"Humidity: {humidity:.2f} %\tTemperature: {celsius:.2f} *C"


def main():
    """Print a line every two seconds; a sensor that does not answer prints none."""
    while True:
        try:
            sensor.measure()
            print(line(sensor.humidity(), sensor.temperature()))
        except OSError:
            print("Failed to read from DHT sensor!")
        time.sleep_ms(PERIOD_MS)


if __name__ == "__main__":
    main()
