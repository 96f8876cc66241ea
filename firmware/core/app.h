// The application: from the configuration to pictures on the server.
#pragma once

#include "backoff.h"
#include "config.h"
#include "console.h"
#include "exchange.h"
#include "led.h"
#include "schedule.h"
#include "shutoff.h"

namespace porthole {

// Machine is everything the application runs on. All of it outlives the App.
struct Machine {
  Random& random;
  Transport& transport;
  Camera& camera;
  Switch& line;
  Led& led;
  Store& store;
  Log& log;
  Radio& radio;
  System& system;
};

// Settings are what is decided when the program is built, or on the command line
// of the host build.
struct Settings {
  Profile profile = Profile::kFirmware;
  bool drop_last_kilobyte = true;  // the sketch's defect, in its profile only
  bool resume = false;             // offer the last TLS session
  uint32_t discard = 4;            // frames dropped after the camera starts: two buffers, and two more (esp32-wire 6)
};

// App is the application. It owns no thread and never waits: Step does what is
// due and says when to call again.
//
//	configure ─▶ join ─▶ serve ──────────────────────────┐
//	    ▲ retry    ▲      │ switch off: camera stops,    │
//	    └──        │      │ connection dropped, notice   │
//	               └──────┴── link lost ◀────────────────┘
class App : private ConfigFaults {
 public:
  App(const Machine& machine, const Settings& settings);
  // Start prints the first line. now is the time since the start of the board.
  void Start(Time now);
  // Step returns when it wants to be called next. Calling earlier is harmless,
  // and right when the socket is ready or the switch moved.
  Time Step(Time now);
  // Input takes what is typed on the console.
  void Input(char c, Time now);

  uint32_t uploads() const { return uploads_; }
  uint32_t failed() const { return failed_; }
  bool camera_on() const { return shutoff_.Allows(); }

 private:
  enum class Phase : uint8_t { kConfigure, kJoin, kJoining, kServe };

  // app.cpp
  bool Waiting(Time now) const { return now < resume_at_; }
  void Retry(const char* what, Backoff& backoff, Time now, Time* until, Time retry_after = 0);
  void Configure(Time now);
  void Join(Time now);
  void Lost(Time now);
  void Mind(Time now);
  void Fault(const ConfigFault& fault) override;
  void Command(Time now);
  void Restart(const char* why, Time now);

  // app_serve.cpp
  void Serve(Time now);
  void Switched(Shutoff::Edge edge, Time now);
  void Withdraw();
  void StopCamera();
  void StartCamera(Time now);
  void CameraFailed(int code, const char* why, Time now);
  void TakePicture(Time now);
  bool Capture(Frame* frame, Time now);
  void Run(Time now);
  void Finish(bool answered, Time now);
  void FinishNotice(bool answered, Time now);
  void Accepted(Time now);
  bool HeapLow(Time now);
  void Address();

  Machine m_;
  const Settings settings_;
  Exchange exchange_;
  Shutoff shutoff_;
  Schedule schedule_;
  LedShow leds_;
  Backoff config_backoff_, radio_backoff_, camera_backoff_, upload_backoff_, notice_backoff_;

  Phase phase_ = Phase::kConfigure;
  Config config_ = {};
  char host_[264] = "";  // as the Host header has it
  porthole::Address address_;
  Endpoint endpoint_;
  Time now_ = 0;
  Time resume_at_ = 0;         // before that nothing but the switch is looked at
  Time joining_since_ = 0;
  uint32_t join_attempts_ = 0;

  bool camera_started_ = false, frame_held_ = false;
  bool noticing_ = false;       // the exchange is a notice
  bool notice_due_ = false;     // the server has not heard of the last edge
  bool notice_on_ = false, notice_sent_on_ = false;
  bool trouble_ = false;        // the last upload failed
  bool confirmed_ = false, halted_ = false;
  uint32_t discard_ = 0;
  uint32_t generation_ = 0;     // of the switch when the held frame was captured
  Time camera_at_ = 0, notice_at_ = 0, upload_began_ = 0;
  uint64_t sequence_ = 0;
  uint32_t uploads_ = 0, failed_ = 0;
  size_t frame_size_ = 0;

  char command_[128];
  size_t command_size_ = 0;
};

}  // namespace porthole
