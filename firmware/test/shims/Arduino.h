#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>

#define ESP_ARDUINO_VERSION_MAJOR 2                          // cores/esp32/esp_arduino_version.h 2.0.17
#define LOW 0x0                                              // cores/esp32/esp32-hal-gpio.h 2.0.17
#define HIGH 0x1                                             // cores/esp32/esp32-hal-gpio.h 2.0.17
#define OUTPUT 0x03                                          // cores/esp32/esp32-hal-gpio.h 2.0.17
#define INPUT_PULLUP 0x05                                    // cores/esp32/esp32-hal-gpio.h 2.0.17
#define CHANGE 0x03                                          // cores/esp32/esp32-hal-gpio.h 2.0.17
#define ARDUINO_ISR_ATTR                                     // cores/esp32/esp32-hal.h 2.0.17 (IRAM_ATTR)
#define digitalPinToInterrupt(p) (p)                         // cores/esp32/Arduino.h 2.0.17

extern "C" void pinMode(uint8_t pin, uint8_t mode);          // cores/esp32/esp32-hal-gpio.h 2.0.17
extern "C" void digitalWrite(uint8_t pin, uint8_t val);      // cores/esp32/esp32-hal-gpio.h 2.0.17
extern "C" int digitalRead(uint8_t pin);                     // cores/esp32/esp32-hal-gpio.h 2.0.17
extern "C" void attachInterruptArg(uint8_t pin, void (*)(void*), void* arg, int mode);  // cores/esp32/esp32-hal-gpio.h 2.0.17
extern "C" void delay(uint32_t ms);                          // cores/esp32/esp32-hal.h 2.0.17
extern "C" bool psramFound();                                // cores/esp32/esp32-hal-psram.h 2.0.17
extern "C" size_t strlcpy(char* to, const char* from, size_t size);  // newlib string.h, as of ESP-IDF 4.4.7
void setup();                                                // cores/esp32/Arduino.h 2.0.17
void loop();                                                 // cores/esp32/Arduino.h 2.0.17

class HardwareSerial {                                       // cores/esp32/HardwareSerial.h 2.0.17
 public:
  void begin(unsigned long baud);                            // cores/esp32/HardwareSerial.h 2.0.17 (further arguments have defaults)
  int available();                                           // cores/esp32/HardwareSerial.h 2.0.17
  int read();                                                // cores/esp32/HardwareSerial.h 2.0.17
  size_t write(const uint8_t* buffer, size_t size);          // cores/esp32/HardwareSerial.h 2.0.17
  void flush();                                              // cores/esp32/HardwareSerial.h 2.0.17
};
extern HardwareSerial Serial;                                // cores/esp32/HardwareSerial.h 2.0.17

class EspClass {                                             // cores/esp32/Esp.h 2.0.17
 public:
  void restart();                                            // cores/esp32/Esp.h 2.0.17
};
extern EspClass ESP;                                         // cores/esp32/Esp.h 2.0.17

class IPAddress {                                            // cores/esp32/IPAddress.h 2.0.17
 public:
  uint8_t operator[](int index) const;                       // cores/esp32/IPAddress.h 2.0.17
};

class Client {                                               // cores/esp32/Client.h 2.0.17
 public:
  virtual ~Client() = default;
  virtual size_t write(const uint8_t* buf, size_t size) = 0; // cores/esp32/Client.h 2.0.17
  virtual int available() = 0;                               // cores/esp32/Client.h 2.0.17 (Stream)
  virtual int read(uint8_t* buf, size_t size) = 0;           // cores/esp32/Client.h 2.0.17
  virtual void stop() = 0;                                   // cores/esp32/Client.h 2.0.17
  virtual uint8_t connected() = 0;                           // cores/esp32/Client.h 2.0.17
};
