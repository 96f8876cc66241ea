#include "led.h"

namespace porthole {
namespace {

constexpr uint32_t kMaxWaves = 10;
constexpr Time kBlink = 150;   // ms, on and off, of a wave
constexpr Time kPause = 300;   // dark around a row of waves

// Lit gives whether a repeating row of on and off times is on at a moment, and
// how long that lasts.
bool Lit(const Time* times, size_t n, Time at, Time* left) {
  Time period = 0;
  for (size_t i = 0; i < n; i++) period += times[i];
  at %= period;
  for (size_t i = 0; i < n; i++) {
    if (at < times[i]) {
      *left = times[i] - at;
      return i % 2 == 0;
    }
    at -= times[i];
  }
  *left = kNever;
  return false;  // not reached
}

constexpr Time kSlowTimes[] = {500, 500};
constexpr Time kFastTimes[] = {100, 100};
constexpr Time kPairTimes[] = {100, 150, 100, 1650};
constexpr Time kWaveTimes[] = {kBlink, kBlink};

}  // namespace

void LedShow::Wave(uint32_t count, Time now) {
  if (count == 0) return;
  if (count > kMaxWaves) count = kMaxWaves;
  wave_from_ = now + kPause;
  wave_until_ = wave_from_ + count * 2 * kBlink + kPause;
}

Time LedShow::Step(Time now, Led& led) {
  if (changed_) {
    changed_ = false;
    since_ = now;
  }
  bool on = false;
  Time left = kNever;
  if (now < wave_until_) {
    left = wave_until_ - now;
    if (now < wave_from_) {
      left = wave_from_ - now;
    } else if (now < wave_until_ - kPause) {
      on = Lit(kWaveTimes, 2, now - wave_from_, &left);
    }
  } else {
    switch (mode_) {
      case Mode::kDark: break;
      case Mode::kOn: on = true; break;
      case Mode::kSlow: on = Lit(kSlowTimes, 2, now - since_, &left); break;
      case Mode::kFast: on = Lit(kFastTimes, 2, now - since_, &left); break;
      case Mode::kPairs: on = Lit(kPairTimes, 4, now - since_, &left); break;
    }
  }
  if (on != lit_) {
    lit_ = on;
    led.Set(on);
  }
  return left == kNever ? kNever : now + left;
}

}  // namespace porthole
