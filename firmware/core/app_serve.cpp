#include "app.h"
#include "jpeg.h"

namespace porthole {
namespace {

constexpr uint32_t kBadFrames = 3;        // in a row, until the camera is started anew
constexpr uint32_t kCameraAttempts = 5;   // until the board is
constexpr uint32_t kStale = 2;            // frame buffers, which may hold pictures of before
constexpr uint32_t kHeapFree = 60 << 10;  // bytes that TLS needs (esp32-wire 3.3, 6)
constexpr uint32_t kHeapBlock = 18 << 10;

}  // namespace

// Switched acts on the switch. Sight of "off" ends capture and upload at once;
// only the telling waits for the debounce.
void App::Switched(Shutoff::Edge edge, Time now) {
  if (!shutoff_.Allows()) Withdraw();
  if (edge == Shutoff::Edge::kNone) return;
  const bool on = edge == Shutoff::Edge::kOn;
  if (on) {
    ConsoleLine('I', now, "camera on").To(m_.log);
    schedule_.NotBefore(now);
    camera_at_ = now;
  } else {
    ConsoleLine('W', now, "camera off").To(m_.log);
    StopCamera();
    leds_.Set(LedShow::Mode::kDark);
  }
  camera_backoff_.Reset();
  notice_backoff_.Reset();
  notice_due_ = settings_.profile == Profile::kFirmware;
  notice_on_ = on;
  notice_at_ = now;
}

// Withdraw gives the frame back and takes back what of it is half sent: what the
// server has not got by now it never gets.
void App::Withdraw() {
  if (!frame_held_) return;
  exchange_.Abort();
  m_.camera.Release();
  frame_held_ = false;
  leds_.Set(LedShow::Mode::kDark);
}

void App::StopCamera() {
  Withdraw();
  if (camera_started_) m_.camera.Stop();
  camera_started_ = false;
}

void App::Serve(Time now) {
  if (!m_.radio.Up()) return Lost(now);
  if (exchange_.busy()) return Run(now);
  if (notice_due_ && now >= notice_at_) {
    if (HeapLow(now)) return;
    noticing_ = true;
    notice_sent_on_ = notice_on_;
    exchange_.Notice(endpoint_, address_, notice_on_, now);
    return Run(now);
  }
  if (!shutoff_.Allows()) return;
  if (!camera_started_) {
    if (now >= camera_at_) StartCamera(now);
    return;
  }
  if (generation_ != shutoff_.generation()) {
    // The line bounced without an edge: what the buffers hold may be from then.
    generation_ = shutoff_.generation();
    if (discard_ < kStale) discard_ = kStale;
  }
  if (discard_ > 0) {
    Frame frame;
    if (Capture(&frame, now)) {
      m_.camera.Release();
      if (--discard_ == 0) schedule_.NotBefore(now);  // the grid begins with the first picture that counts
    } else if (shutoff_.Allows()) {
      CameraFailed(-1, "no frame", now);
    }
    return;
  }
  if (now >= schedule_.due()) TakePicture(now);
}

void App::StartCamera(Time now) {
  const int code = m_.camera.Start(config_.crop);
  if (code != 0) return CameraFailed(code, CameraErrorName(code), now);
  camera_started_ = true;
  discard_ = settings_.discard;
  generation_ = shutoff_.generation();
  char size[16];
  TextBuilder text(size, sizeof size);
  text.Unsigned(config_.crop.Whole() ? 800 : config_.crop.w).Add('x').Unsigned(config_.crop.Whole() ? 600 : config_.crop.h);
  ConsoleLine('I', now, "camera ready").Text("sensor", "OV2640").Text("size", size).Unsigned("ms", m_.camera.StartTime()).To(m_.log);
}

// CameraFailed tries the camera anew later, and the board when that does not help.
void App::CameraFailed(int code, const char* why, Time now) {
  ConsoleLine('E', now, "camera error").Code("code", code).Text("why", why).To(m_.log);
  StopCamera();
  leds_.Set(LedShow::Mode::kPairs);
  if (camera_backoff_.attempt() >= kCameraAttempts) return Restart("camera", now);
  Retry("camera", camera_backoff_, now, &camera_at_);
}

// Capture takes a picture, unless the line is off before or was off meanwhile.
bool App::Capture(Frame* frame, Time now) {
  shutoff_.Poll(m_.line, now);
  return shutoff_.Allows() && m_.camera.Capture(frame);
}

void App::TakePicture(Time now) {
  Frame frame;
  const char* why = nullptr;
  for (uint32_t i = 0; i < kBadFrames; i++) {
    if (!Capture(&frame, now)) {
      if (!shutoff_.Allows()) return;  // the next step tells
      return CameraFailed(-1, "no frame", now);
    }
    frame_held_ = true;
    // Between capture and send (esp32-wire 5.3).
    shutoff_.Poll(m_.line, now);
    if (!shutoff_.Allows() || generation_ != shutoff_.generation()) return Withdraw();
    if (settings_.profile == Profile::kSketch) break;  // it sends whatever it is given
    why = CheckFrame(frame);
    if (why == nullptr) break;
    m_.camera.Release();
    frame_held_ = false;
  }
  if (why != nullptr) return CameraFailed(-1, why, now);
  if (HeapLow(now)) return;
  camera_backoff_.Reset();
  sequence_++;
  frame_size_ = frame.jpeg.size;
  upload_began_ = now;
  noticing_ = false;
  leds_.Set(LedShow::Mode::kOn);
  exchange_.Upload(endpoint_, address_, frame.jpeg, now);
  Run(now);
}

// HeapLow restarts a board whose memory is too small or too torn for another
// connection, which would fail in ways that are harder to read.
bool App::HeapLow(Time now) {
  if (exchange_.connected()) return false;
  if (m_.system.FreeHeap() >= kHeapFree && m_.system.LargestBlock() >= kHeapBlock) return false;
  Restart("heap", now);
  return true;
}

// Run drives the exchange, and looks at the switch between any two records.
void App::Run(Time now) {
  for (;;) {
    if (frame_held_) {
      shutoff_.Poll(m_.line, now);
      if (!shutoff_.Allows() || generation_ != shutoff_.generation()) return Withdraw();
    }
    switch (exchange_.Step(now)) {
      case Exchange::Progress::kMoved: continue;
      case Exchange::Progress::kIdle:
      case Exchange::Progress::kWaiting: return;
      case Exchange::Progress::kAnswered: return Finish(true, now);
      case Exchange::Progress::kFailed: return Finish(false, now);
    }
  }
}

void App::Finish(bool answered, Time now) {
  if (noticing_) return FinishNotice(answered, now);
  m_.camera.Release();
  frame_held_ = false;
  const Exchange::Result& r = exchange_.result();
  // The sketch never looks at the status (esp32-wire 1.5); people should.
  const bool good = answered && r.status / 100 == 2;
  if (good) {
    Accepted(now);
  } else {
    failed_++;
    char text[32];
    TextBuilder why(text, sizeof text);
    why.Add("server answered ").Unsigned(static_cast<uint64_t>(r.status));
    ConsoleLine('W', now, "upload failed")
        .Unsigned("seq", sequence_)
        .Number("status", r.status)
        .Number("code", r.failure.code)
        .Text("why", answered ? text : r.failure.why)
        .To(m_.log);
  }
  trouble_ = !good;
  leds_.Set(trouble_ ? LedShow::Mode::kPairs : LedShow::Mode::kDark);
  schedule_.Finished(now);
  if (good) {
    upload_backoff_.Reset();
  } else if (settings_.profile == Profile::kFirmware) {
    Time until = 0;
    Retry("upload", upload_backoff_, now, &until, r.retry_after);
    schedule_.NotBefore(until);
  }
}

void App::Accepted(Time now) {
  const Exchange::Result& r = exchange_.result();
  uploads_++;
  ConsoleLine('I', now, "upload ok")
      .Unsigned("seq", sequence_)
      .Unsigned("bytes", frame_size_)
      .Unsigned("ms", now - upload_began_)
      .Number("status", r.status)
      .To(m_.log);
  if (r.has_reply && r.reply.waves > 0) {
    ConsoleLine('I', now, "waves").Unsigned("count", r.reply.waves).To(m_.log);
    leds_.Wave(r.reply.waves, now);
  }
  if (r.has_reply && r.reply.interval_ms != 0 && schedule_.SetInterval(r.reply.interval_ms)) {
    ConsoleLine('I', now, "interval").Unsigned("interval_ms", schedule_.interval()).To(m_.log);
  }
  if (confirmed_) return;
  confirmed_ = true;
  if (!m_.system.ImagePending()) return;
  const bool done = m_.system.ConfirmImage();
  ConsoleLine('I', now, "ota")
      .Text("what", done ? "confirmed" : "failed")
      .Text("version", m_.system.Version())
      .Text("why", "")
      .To(m_.log);
}

// FinishNotice is done with any answer that a repetition would not change. That
// the camera is on the frames tell too, so only "off" is worth trying again.
void App::FinishNotice(bool answered, Time now) {
  const Exchange::Result& r = exchange_.result();
  if (answered) {
    ConsoleLine('I', now, "notice")
        .Text("what", notice_sent_on_ ? "camera on" : "camera off")
        .Number("status", r.status)
        .To(m_.log);
  }
  if (notice_sent_on_ != notice_on_) return;  // the switch moved meanwhile: there is news
  const bool again = !notice_on_ && (!answered || r.status / 100 == 5 || r.status == 429);
  notice_due_ = again;
  if (again) Retry("notice", notice_backoff_, now, &notice_at_, r.retry_after);
}

}  // namespace porthole
