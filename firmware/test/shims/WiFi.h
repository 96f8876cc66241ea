#pragma once
#include "Arduino.h"

enum wl_status_t { WL_CONNECTED = 3 };                       // libraries/WiFi/src/WiFiType.h 2.0.17
enum wifi_mode_t { WIFI_STA = 1 };                           // esp_wifi_types.h ESP-IDF 4.4.7 (WIFI_MODE_STA)
enum wifi_ps_type_t { WIFI_PS_NONE };                        // esp_wifi_types.h ESP-IDF 4.4.7
enum arduino_event_id_t { ARDUINO_EVENT_WIFI_STA_DISCONNECTED = 5 };  // libraries/WiFi/src/WiFiGeneric.h 2.0.17
struct wifi_event_sta_disconnected_t { uint8_t reason; };    // esp_wifi_types.h ESP-IDF 4.4.7
union arduino_event_info_t { wifi_event_sta_disconnected_t wifi_sta_disconnected; };  // libraries/WiFi/src/WiFiGeneric.h 2.0.17
typedef void (*WiFiEventSysCb)(arduino_event_id_t, arduino_event_info_t);  // libraries/WiFi/src/WiFiGeneric.h 2.0.17 (a std::function there)
typedef size_t wifi_event_id_t;                              // libraries/WiFi/src/WiFiGeneric.h 2.0.17

class WiFiClass {                                            // libraries/WiFi/src/WiFi.h 2.0.17
 public:
  void persistent(bool persistent);                          // libraries/WiFi/src/WiFiGeneric.h 2.0.17
  bool mode(wifi_mode_t mode);                               // libraries/WiFi/src/WiFiGeneric.h 2.0.17
  bool setSleep(wifi_ps_type_t type);                        // libraries/WiFi/src/WiFiGeneric.h 2.0.17
  bool setAutoReconnect(bool on);                            // libraries/WiFi/src/WiFiSTA.h 2.0.17
  wifi_event_id_t onEvent(WiFiEventSysCb cb, arduino_event_id_t event);  // libraries/WiFi/src/WiFiGeneric.h 2.0.17
  wl_status_t begin(const char* ssid, const char* passphrase = nullptr);  // libraries/WiFi/src/WiFiSTA.h 2.0.17
  wl_status_t status();                                      // libraries/WiFi/src/WiFiSTA.h 2.0.17
  bool disconnect(bool wifioff = false, bool eraseap = false);  // libraries/WiFi/src/WiFiSTA.h 2.0.17
  IPAddress localIP();                                       // libraries/WiFi/src/WiFiSTA.h 2.0.17
  int8_t RSSI();                                             // libraries/WiFi/src/WiFiSTA.h 2.0.17
  int32_t channel();                                         // libraries/WiFi/src/WiFiGeneric.h 2.0.17
};
extern WiFiClass WiFi;                                       // libraries/WiFi/src/WiFi.h 2.0.17

class WiFiClient : public Client {                           // libraries/WiFi/src/WiFiClient.h 2.0.17
 public:
  int connect(const char* host, uint16_t port, int32_t timeout_ms);  // libraries/WiFi/src/WiFiClient.h 2.0.17
  size_t write(const uint8_t* buf, size_t size) override;    // libraries/WiFi/src/WiFiClient.h 2.0.17
  int available() override;                                  // libraries/WiFi/src/WiFiClient.h 2.0.17
  int read(uint8_t* buf, size_t size) override;              // libraries/WiFi/src/WiFiClient.h 2.0.17
  void stop() override;                                      // libraries/WiFi/src/WiFiClient.h 2.0.17
  uint8_t connected() override;                              // libraries/WiFi/src/WiFiClient.h 2.0.17
};
