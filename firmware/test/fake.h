// Fakes of the machine: a world of virtual time in which one board runs. Every
// call of the core is a point at which the switch may be cut.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../core/app.h"
#include "test.h"

struct FakeRandom : porthole::Random {
  explicit FakeRandom(uint64_t seed) : rng(seed) {}
  uint32_t Next() override { return static_cast<uint32_t>(rng.Next()); }
  test::Rng rng;
};

struct FakeSwitch : porthole::Switch {
  void Cut(bool on) {
    off = on;
    if (on) tripped = true;
  }
  bool Off() override { return off; }
  bool Tripped() override {
    const bool was = tripped;
    tripped = false;
    return was;
  }
  bool off = false, tripped = false;
};

struct FakeLed : porthole::Led {
  void Set(bool lit) override {
    on = lit;
    changes++;
  }
  bool on = false;
  int changes = 0;
};

struct FakeLog : porthole::Log {
  void Line(const char* text, size_t size) override { lines.emplace_back(text, size); }
  // Count gives the lines that contain a text.
  int Count(const std::string& part) const {
    int n = 0;
    for (const std::string& l : lines) n += l.find(part) != std::string::npos ? 1 : 0;
    return n;
  }
  std::string All() const {
    std::string s;
    for (const std::string& l : lines) s += l + "\n";
    return s;
  }
  std::vector<std::string> lines;
};

// FakeStore holds a good configuration; numbers are written with a hash.
struct FakeStore : porthole::Store {
  std::map<std::string, std::string> values = {
      {"ssid", "Harbour"}, {"password", "correct horse"}, {"host", "camera.example.org"},
      {"port", "#443"},    {"token", "secret-token"},     {"ca", "-----BEGIN CERTIFICATE-----\n"},
  };
  const char* broken = nullptr;
  const char* Open() override { return broken; }
  porthole::Stored Text(const char* key, char* buffer, size_t cap) override {
    const auto it = values.find(key);
    if (it == values.end()) return porthole::Stored::kMissing;
    if (it->second[0] == '#') return porthole::Stored::kWrongType;
    if (it->second.size() >= cap) return porthole::Stored::kTooLong;
    memcpy(buffer, it->second.c_str(), it->second.size() + 1);
    return porthole::Stored::kFound;
  }
  porthole::Stored Number(const char* key, uint64_t* value) {
    const auto it = values.find(key);
    if (it == values.end()) return porthole::Stored::kMissing;
    if (it->second[0] != '#') return porthole::Stored::kWrongType;
    *value = strtoull(it->second.c_str() + 1, nullptr, 10);
    return porthole::Stored::kFound;
  }
  porthole::Stored U16(const char* key, uint16_t* value) override {
    uint64_t n = 0;
    const porthole::Stored s = Number(key, &n);
    *value = static_cast<uint16_t>(n);
    return s;
  }
  porthole::Stored U32(const char* key, uint32_t* value) override {
    uint64_t n = 0;
    const porthole::Stored s = Number(key, &n);
    if (s == porthole::Stored::kFound) *value = static_cast<uint32_t>(n);
    return s;
  }
};

// Accepted is a request that the fake server got whole.
struct Accepted {
  porthole::Time at = 0;
  std::string path, body;
  porthole::Time captured = 0;  // of the frame inside
  bool gray = false;
};

// World is the board's surroundings. Time passes in its calls.
struct World : porthole::Transport, porthole::Camera, porthole::Radio, porthole::System {
  explicit World(uint64_t seed, porthole::Settings settings = {});

  // Run steps the app until a time.
  void Run(porthole::Time until);
  // CutAt opens the switch at the n-th call from now on.
  void CutAt(int calls) { cut_in = calls; }

  FakeRandom random;
  FakeSwitch line;
  FakeLed led;
  FakeStore store;
  FakeLog log;
  test::Rng rng;
  porthole::Time now = 0;
  std::vector<Accepted> accepted;
  std::string console;  // typed at the next step

  // The server.
  int status = 200;
  std::string headers, reply = "{\"sequence\":1,\"waves\":0,\"interval_ms\":0}";
  bool silent = false, refuse = false, closes = false, reset_idle = false;
  int connects = 0;
  size_t refuse_after = 0;  // answers after so many bytes of the request; 0: all of it

  // The camera.
  int camera_code = 0, cut_frames = 0, null_frames = 0, starts = 0;
  bool camera_on = false, held = false;

  // The radio.
  bool joinable = true, up = false;
  int reason = 201;

  // The system.
  bool pending = false, confirmed = false, rolled_back = false;
  int restarts = 0;
  uint32_t heap = 214664, block = 110000;

  porthole::Time cut_time = porthole::kNever;  // when CutAt struck

 private:
  void Tick(porthole::Time most);
  porthole::Io Connect(const porthole::Endpoint& to) override;
  porthole::Io Send(porthole::Bytes record) override;
  porthole::Io Receive(uint8_t* buffer, size_t cap, size_t* got) override;
  void Close() override;
  porthole::Failure LastFailure() override;
  int Start(const porthole::Crop& crop) override;
  porthole::Time StartTime() override { return 240; }
  bool Capture(porthole::Frame* frame) override;
  void Release() override;
  void Stop() override;
  porthole::Io Join(const char* ssid, const char* password, porthole::Link* link) override;
  bool Up() override { return up; }
  int Reason() override { return reason; }
  void Leave() override { up = false; }
  const char* Version() override { return "1.0.0"; }
  const char* ResetReason() override { return "poweron"; }
  uint32_t FreeHeap() override { return heap; }
  uint32_t LargestBlock() override { return block; }
  uint32_t FreePsram() override { return 4192123; }
  void FeedWatchdog() override {}
  bool ImagePending() override { return pending; }
  bool ConfirmImage() override {
    pending = false;
    return confirmed = true;
  }
  void Restart(bool rollback) override {
    restarts++;
    rolled_back = rollback;
  }

  void Request();

  int cut_in = -1;
  bool open = false, pending_send = false;
  int connect_left = 0;
  porthole::Time answer_at = 0, joined_at = 0;
  std::string in, out;
  std::vector<uint8_t> picture;
  int since_start = 0;

 public:
  std::unique_ptr<porthole::App> app;
};
