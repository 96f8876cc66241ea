#pragma once
#include "WiFi.h"

class WiFiClientSecure : public WiFiClient {                 // libraries/WiFiClientSecure/src/WiFiClientSecure.h 2.0.17
 public:
  int connect(const char* host, uint16_t port, int32_t timeout_ms);  // libraries/WiFiClientSecure/src/WiFiClientSecure.h 2.0.17
  void setCACert(const char* rootCA);                        // libraries/WiFiClientSecure/src/WiFiClientSecure.h 2.0.17
  void setHandshakeTimeout(unsigned long seconds);           // libraries/WiFiClientSecure/src/WiFiClientSecure.h 2.0.17
  int lastError(char* buf, const size_t size);               // libraries/WiFiClientSecure/src/WiFiClientSecure.h 2.0.17
};
