// The pace of uploads.
#pragma once

#include "io.h"

namespace porthole {

constexpr Time kMinInterval = 100;      // ms
constexpr Time kMaxInterval = 3600000;  // one hour
constexpr Time kDefaultInterval = 2000;

// Schedule says when the next frame is due: an interval after the last one
// started, or at once when that has passed (esp32-wire 1.1). While uploads are
// quick the starts stay on one grid, free of drift.
class Schedule {
 public:
  void Start(Time now, Time interval) {
    due_ = now;
    interval_ = interval;
  }
  // SetInterval changes the pace from the next frame on; it reports a change.
  bool SetInterval(Time interval) {
    if (interval < kMinInterval) interval = kMinInterval;
    if (interval > kMaxInterval) interval = kMaxInterval;
    const bool changed = interval != interval_;
    interval_ = interval;
    return changed;
  }
  // Finished moves on behind a frame that began when it was due.
  void Finished(Time now) {
    due_ += interval_;
    if (now > due_ + kSlack) due_ = now;
  }
  // NotBefore holds the next frame back.
  void NotBefore(Time t) {
    if (due_ < t) due_ = t;
  }
  Time due() const { return due_; }
  Time interval() const { return interval_; }

 private:
  static constexpr Time kSlack = 100;  // a wake-up this late still counts as on time
  Time due_ = 0;
  Time interval_ = kDefaultInterval;
};

}  // namespace porthole
