// When to try again.
#pragma once

#include "io.h"

namespace porthole {

constexpr Time kBackoffBase = 1000;  // ms (esp32-wire 6)
constexpr Time kBackoffCap = 60000;

// Backoff counts failures in a row and draws the wait after each: full jitter
// under a ceiling that doubles from one second to one minute, and never less
// than the server's Retry-After.
class Backoff {
 public:
  // Next counts a failure and returns the wait in milliseconds.
  Time Next(Random& random, Time retry_after) {
    if (attempt_ < UINT32_MAX) attempt_++;
    const uint32_t doublings = attempt_ < 8 ? attempt_ - 1 : 7;
    Time ceiling = kBackoffBase << doublings;
    if (ceiling > kBackoffCap) ceiling = kBackoffCap;
    const Time wait = random.Next() % ceiling;
    return wait > retry_after ? wait : retry_after;
  }
  void Reset() { attempt_ = 0; }
  uint32_t attempt() const { return attempt_; }

 private:
  uint32_t attempt_ = 0;
};

}  // namespace porthole
