#pragma once
#include "Arduino.h"

class ArduinoOTAClass {                                      // libraries/ArduinoOTA/src/ArduinoOTA.h 2.0.17
 public:
  ArduinoOTAClass& setPassword(const char* password);        // libraries/ArduinoOTA/src/ArduinoOTA.h 2.0.17
  ArduinoOTAClass& onProgress(void (*fn)(unsigned, unsigned));  // libraries/ArduinoOTA/src/ArduinoOTA.h 2.0.17 (a std::function there)
  void begin();                                              // libraries/ArduinoOTA/src/ArduinoOTA.h 2.0.17
  void handle();                                             // libraries/ArduinoOTA/src/ArduinoOTA.h 2.0.17
};
extern ArduinoOTAClass ArduinoOTA;                           // libraries/ArduinoOTA/src/ArduinoOTA.h 2.0.17
