// The small parts of the host program.
#pragma once

#include <signal.h>

#include <string>

#include "../../core/io.h"
#include "nvs.h"

namespace porthole {

// Now is the time since the start of the program.
Time Now();

// KernelRandom is the machine's own.
class KernelRandom : public Random {
 public:
  uint32_t Next() override;
};

// HostSwitch is the shutoff: a file whose first word is "off" or "on" (missing:
// on), or the signals SIGUSR1 (off) and SIGUSR2 (on).
class HostSwitch : public Switch {
 public:
  explicit HostSwitch(const std::string& file) : file_(file) {}
  bool Off() override;
  bool Tripped() override;

  // Set by the signal handlers.
  static volatile sig_atomic_t off;
  static volatile sig_atomic_t tripped;

 private:
  const std::string file_;
};

// StdoutLog prints lines as a board does, with CR LF.
class StdoutLog : public Log {
 public:
  explicit StdoutLog(bool color) : color_(color) {}
  void Line(const char* text, size_t size) override;

 private:
  const bool color_;
};

// HostLed shows nothing, or prints its changes where asked to.
class HostLed : public Led {
 public:
  explicit HostLed(bool print) : print_(print) {}
  void Set(bool on) override;

 private:
  const bool print_;
};

// ImageStore reads namespace "porthole" of an NVS partition image, or of a whole
// flash in which it lies where the Arduino core's partition table has it.
class ImageStore : public Store {
 public:
  explicit ImageStore(const std::string& file) : file_(file) {}
  const char* Open() override;
  Stored Text(const char* key, char* buffer, size_t cap) override;
  Stored U16(const char* key, uint16_t* value) override;
  Stored U32(const char* key, uint32_t* value) override;

 private:
  Stored Number(const char* key, NvsValue::Type type, uint32_t* value);

  const std::string file_;
  NvsImage image_;
};

// HostRadio is this machine's network: always there.
class HostRadio : public Radio {
 public:
  Io Join(const char* ssid, const char* password, Link* link) override;
  bool Up() override { return true; }
  int Reason() override { return 0; }
  void Leave() override {}
};

// HostSystem is the rest.
class HostSystem : public System {
 public:
  const char* Version() override { return "1.0.0"; }
  const char* ResetReason() override { return "poweron"; }
  uint32_t FreeHeap() override { return 214664; }  // a WROVER's (esp32-wire 3.3)
  uint32_t LargestBlock() override { return 110580; }
  uint32_t FreePsram() override { return 4192123; }
  void FeedWatchdog() override {}
  bool ImagePending() override { return false; }
  bool ConfirmImage() override { return true; }
  void Restart(bool) override { restart_ = true; }
  bool restart() const { return restart_; }

 private:
  bool restart_ = false;
};

}  // namespace porthole
