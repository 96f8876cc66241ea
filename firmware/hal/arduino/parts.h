// The small parts of a board.
#pragma once

#include <Preferences.h>

#include "../../core/io.h"

namespace porthole {

// Now is the time since the start, in milliseconds.
Time Now();

// BrownoutPause keeps the detector quiet while it lives: around the start of camera
// and radio, and not for good (esp32-wire 6).
class BrownoutPause {
 public:
  BrownoutPause();
  ~BrownoutPause();
  BrownoutPause(const BrownoutPause&) = delete;
  BrownoutPause& operator=(const BrownoutPause&) = delete;

 private:
  uint32_t saved_;
};

class BoardRandom : public Random {
 public:
  uint32_t Next() override;
};

// BoardSwitch is the sense line, with an interrupt that sets a flag and nothing else.
class BoardSwitch : public Switch {
 public:
  void Begin();
  bool Off() override;
  bool Tripped() override;
};

class BoardLed : public Led {
 public:
  void Begin();
  void Set(bool on) override;
};

class SerialLog : public Log {
 public:
  void Line(const char* text, size_t size) override;
};

// FlashStore reads namespace "porthole" of the nvs partition.
class FlashStore : public Store {
 public:
  const char* Open() override;
  Stored Text(const char* key, char* buffer, size_t cap) override;
  Stored U16(const char* key, uint16_t* value) override;
  Stored U32(const char* key, uint32_t* value) override;

 private:
  Stored Check(const char* key, PreferenceType type);
  Preferences preferences_;
};

// BoardRadio is the station. The core reconnects by itself; when that takes longer
// than twenty seconds, the application joins anew (esp32-wire 3.4).
class BoardRadio : public Radio {
 public:
  void Begin();
  Io Join(const char* ssid, const char* password, Link* link) override;
  bool Up() override;
  int Reason() override;
  void Leave() override;

 private:
  bool joining_ = false;
  Time gone_since_ = 0;
};

class BoardSystem : public System {
 public:
  void Begin();
  const char* Version() override;
  const char* ResetReason() override;
  uint32_t FreeHeap() override;
  uint32_t LargestBlock() override;
  uint32_t FreePsram() override;
  void FeedWatchdog() override;
  bool ImagePending() override;
  bool ConfirmImage() override;
  void Restart(bool rollback) override;

 private:
  bool pending_ = false;
};

}  // namespace porthole
