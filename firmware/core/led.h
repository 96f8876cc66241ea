// What the status light shows.
#pragma once

#include "io.h"

namespace porthole {

// LedShow plays a pattern that says what the board does, and blinks waves over
// it: one blink for each person who waved, ten at most.
//
//	kDark       the camera is off, and while nothing is to be told
//	kOn         an upload is under way
//	kSlow       joining the network
//	kPairs      trouble on the way to the server or with the camera
//	kFast       the configuration is missing or wrong
class LedShow {
 public:
  enum class Mode : uint8_t { kDark, kOn, kSlow, kPairs, kFast };

  void Set(Mode mode) {
    if (mode != mode_) changed_ = true;
    mode_ = mode;
  }
  void Wave(uint32_t count, Time now);
  // Step sets the light and returns when it changes next.
  Time Step(Time now, Led& led);

 private:
  Mode mode_ = Mode::kDark;
  bool changed_ = true, lit_ = false;
  Time since_ = 0;
  Time wave_from_ = 0, wave_until_ = 0;
};

}  // namespace porthole
