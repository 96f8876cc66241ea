// The configuration record: what provisioning wrote, with its limits. The table
// of keys is that of internal/boardcfg.
#pragma once

#include "io.h"

namespace porthole {

// Config is a board's configuration, all of it in place.
struct Config {
  char ssid[33];
  char password[65];  // secret
  char host[254];
  uint16_t port;
  char path[129];
  char token[129];  // secret
  char ca[4000];    // PEM; empty: no TLS
  uint32_t interval_ms;
  Crop crop;
  char crop_text[33];  // as stored
  char name[33];
};

// ConfigFault is what is wrong with one key. It never holds a secret.
struct ConfigFault {
  const char* key;
  bool missing;
  char why[96];
};

// ConfigFaults takes the faults as they are found.
class ConfigFaults {
 public:
  virtual ~ConfigFaults() = default;
  virtual void Fault(const ConfigFault& fault) = 0;
};

// LoadConfig reads every key of an open store. It reports every fault and
// returns whether there was none.
bool LoadConfig(Store& store, Config* config, ConfigFaults& faults);

// ParseCrop reads WxH+X+Y within 800x600, W a multiple of 16, H of 8, X and Y of
// 4 (esp32-wire 4.8); the empty text is the whole picture. It returns nullptr or
// what is wrong.
const char* ParseCrop(const char* text, Crop* crop);

}  // namespace porthole
