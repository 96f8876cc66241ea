#include "app.h"

namespace porthole {
namespace {

constexpr char kProject[] = "porthole";
constexpr char kHelp[] = "help, status, reboot";

// kConfirmTime is how long a new image may take to its first accepted upload.
constexpr Time kConfirmTime = 600000;

// kJoinTimeout is how long one try to join may take.
constexpr Time kJoinTimeout = 20000;  // esp32-wire 3.4

}  // namespace

App::App(const Machine& machine, const Settings& settings)
    : m_(machine), settings_(settings), exchange_(machine.transport, settings.profile) {
  exchange_.writer().DropLastKilobyte(settings.drop_last_kilobyte);
}

void App::Start(Time now) {
  ConsoleLine('I', now, "boot")
      .Text("project", kProject)
      .Text("version", m_.system.Version())
      .Text("reset", m_.system.ResetReason())
      .Unsigned("heap", m_.system.FreeHeap())
      .Unsigned("psram", m_.system.FreePsram())
      .To(m_.log);
}

Time App::Step(Time now) {
  if (halted_) return kNever;  // only where Restart returns, on a computer
  now_ = now;
  m_.system.FeedWatchdog();
  const Shutoff::Edge edge = shutoff_.Poll(m_.line, now);
  Mind(now);
  Switched(edge, now);
  if (!Waiting(now)) {
    switch (phase_) {
      case Phase::kConfigure: Configure(now); break;
      case Phase::kJoin: Join(now); break;
      case Phase::kJoining: Join(now); break;
      case Phase::kServe: Serve(now); break;
    }
  }
  Time next = leds_.Step(now, m_.led);
  const auto sooner = [&next](Time t) { next = t < next ? t : next; };
  sooner(shutoff_.Due());
  if (Waiting(now)) {
    sooner(resume_at_);
    return next;
  }
  switch (phase_) {
    case Phase::kConfigure:
    case Phase::kJoin: sooner(now); break;
    case Phase::kJoining: sooner(now + 10); break;
    case Phase::kServe:
      if (exchange_.busy()) {
        sooner(exchange_.Due());
        break;
      }
      if (notice_due_) sooner(notice_at_);
      if (shutoff_.Allows()) sooner(!camera_started_ ? camera_at_ : discard_ > 0 ? now : schedule_.due());
      sooner(now + 1000);  // the link
      break;
  }
  return next < now ? now : next;
}

// Retry says that something is tried again, and when.
void App::Retry(const char* what, Backoff& backoff, Time now, Time* until, Time retry_after) {
  const Time wait = backoff.Next(m_.random, retry_after);
  ConsoleLine('W', now, "retry")
      .Text("what", what)
      .Unsigned("attempt", backoff.attempt())
      .Unsigned("wait_ms", wait)
      .To(m_.log);
  *until = now + wait;
}

void App::Fault(const ConfigFault& fault) {
  if (fault.missing) {
    ConsoleLine('E', now_, "config missing").Text("key", fault.key).To(m_.log);
  } else {
    ConsoleLine('E', now_, "config wrong").Text("key", fault.key).Text("why", fault.why).To(m_.log);
  }
}

// Configure reads the configuration, again and again until it is right: the
// partition may be written while the board runs.
void App::Configure(Time now) {
  const char* why = m_.store.Open();
  if (why != nullptr) ConsoleLine('E', now, "config unreadable").Text("why", why).To(m_.log);
  if (why != nullptr || !LoadConfig(m_.store, &config_, *this)) {
    leds_.Set(LedShow::Mode::kFast);
    return Retry("config", config_backoff_, now, &resume_at_);
  }
  Address();
  ConsoleLine('I', now, "config read")
      .Text("name", config_.name)
      .Text("ssid", config_.ssid)
      .Text("host", config_.host)
      .Unsigned("port", config_.port)
      .Text("path", config_.path)
      .Unsigned("interval_ms", config_.interval_ms)
      .Text("crop", config_.crop_text)
      .Unsigned("ca", strlen(config_.ca))
      .To(m_.log);
  schedule_.Start(now, config_.interval_ms);
  phase_ = Phase::kJoin;
}

// Address makes what requests and connections are made from. The sketch's Host
// header never has a port; ours has one that is not the scheme's own.
void App::Address() {
  const bool tls = config_.ca[0] != 0;
  const bool v6 = strchr(config_.host, ':') != nullptr;
  TextBuilder host(host_, sizeof host_);
  if (settings_.profile == Profile::kSketch) {
    host.Add(config_.host);
  } else {
    host.Add(v6 ? "[" : "").Add(config_.host).Add(v6 ? "]" : "");
    if (config_.port != (tls ? 443 : 80)) host.Add(':').Unsigned(config_.port);
  }
  address_ = {host_, config_.path, config_.token};
  endpoint_ = {config_.host, config_.port, config_.ca, settings_.resume};
}

// Join tries until the network lets the board in.
void App::Join(Time now) {
  if (phase_ == Phase::kJoin) {
    join_attempts_++;
    ConsoleLine('I', now, "wifi joining").Text("ssid", config_.ssid).Unsigned("attempt", join_attempts_).To(m_.log);
    leds_.Set(LedShow::Mode::kSlow);
    joining_since_ = now;
    phase_ = Phase::kJoining;
  }
  Link link;
  const Io io = m_.radio.Join(config_.ssid, config_.password, &link);
  if (io == Io::kPending && now - joining_since_ < kJoinTimeout) return;
  if (io != Io::kDone) {
    const int reason = io == Io::kPending ? 201 : m_.radio.Reason();
    m_.radio.Leave();
    ConsoleLine('W', now, "wifi failed")
        .Text("ssid", config_.ssid)
        .Number("reason", reason)
        .Text("why", WiFiReasonName(reason))
        .To(m_.log);
    phase_ = Phase::kJoin;
    return Retry("wifi", radio_backoff_, now, &resume_at_);
  }
  radio_backoff_.Reset();
  join_attempts_ = 0;
  ConsoleLine('I', now, "wifi joined")
      .Text("ssid", config_.ssid)
      .Text("ip", link.ip)
      .Number("rssi", link.rssi)
      .Number("channel", link.channel)
      .Unsigned("ms", now - joining_since_)
      .To(m_.log);
  schedule_.NotBefore(now);
  phase_ = Phase::kServe;
}

// Lost goes back to joining.
void App::Lost(Time now) {
  const int reason = m_.radio.Reason();
  ConsoleLine('W', now, "wifi lost")
      .Text("ssid", config_.ssid)
      .Number("reason", reason)
      .Text("why", WiFiReasonName(reason))
      .To(m_.log);
  Withdraw();
  exchange_.Disconnect();
  m_.radio.Leave();
  phase_ = Phase::kJoin;
}

// Mind gives a new image up that never got a picture through.
void App::Mind(Time now) {
  if (confirmed_ || !m_.system.ImagePending() || now < kConfirmTime) return;
  confirmed_ = true;
  ConsoleLine('I', now, "ota")
      .Text("what", "rolled back")
      .Text("version", m_.system.Version())
      .Text("why", "no upload was accepted in ten minutes")
      .To(m_.log);
  halted_ = true;
  m_.system.Restart(true);
}

void App::Restart(const char* why, Time now) {
  Withdraw();
  ConsoleLine('W', now, "restart").Text("why", why).To(m_.log);
  halted_ = true;
  m_.system.Restart(false);
}

void App::Input(char c, Time now) {
  if (c != '\r' && c != '\n') {
    if (command_size_ < sizeof command_ - 1) command_[command_size_++] = c;
    return;
  }
  while (command_size_ > 0 && command_[command_size_ - 1] == ' ') command_size_--;
  command_[command_size_] = 0;
  if (command_size_ > 0) Command(now);
  command_size_ = 0;
}

void App::Command(Time now) {
  if (strcmp(command_, "help") == 0) {
    ConsoleLine('I', now, "help").Text("why", kHelp).To(m_.log);
  } else if (strcmp(command_, "status") == 0) {
    ConsoleLine('I', now, "status")
        .Unsigned("uptime_ms", now)
        .Text("wifi", phase_ == Phase::kServe ? "up" : "down")
        .Text("camera", shutoff_.Allows() ? "on" : "off")
        .Unsigned("uploads", uploads_)
        .Unsigned("failed", failed_)
        .Unsigned("heap", m_.system.FreeHeap())
        .To(m_.log);
  } else if (strcmp(command_, "reboot") == 0) {
    Restart("console", now);
  } else {
    ConsoleLine('W', now, "unknown command").Text("what", command_).To(m_.log);
  }
}

}  // namespace porthole
