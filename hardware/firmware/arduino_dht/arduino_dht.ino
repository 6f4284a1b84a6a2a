// An Arduino with a DHT22 at pin 2 prints what the profile dht_tester reads.
// Library: "DHT sensor library" by Adafruit.

#include <DHT.h>

DHT sensor(2, DHT22);

void setup() {
  Serial.begin(9600);
  sensor.begin();
}

void loop() {
  delay(2000);  // a DHT22 measures at most every two seconds
  float humidity = sensor.readHumidity();
  float celsius = sensor.readTemperature();
  if (isnan(humidity) || isnan(celsius)) {
    Serial.println("Failed to read from DHT sensor!");
    return;
  }
  Serial.print("Humidity: ");
  Serial.print(humidity, 2);
  Serial.print(" %\tTemperature: ");
  Serial.print(celsius, 2);
  Serial.println(" *C");
}
