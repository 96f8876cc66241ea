// The privacy switch, as the firmware sees it.
#pragma once

#include "io.h"

namespace porthole {

constexpr Time kDebounce = 30;  // ms (esp32-wire 5.3)

// Shutoff debounces the sense line, and not evenly: the first sight of "off"
// counts at once, "on" only after 30 ms without one. So a bouncing contact can
// delay a picture and never allow one.
//
//          off seen                        off seen
//   ┌────────────────────┐          ┌───────────────────┐
//   │                    ▼          │                   ▼
//   on ◀─ 30 ms quiet ─ closing ◀─ off ─ 30 ms held ─▶ announced
//
// Whoever captures or sends asks Allows before, and again between capture and
// send with the generation of the capture: it changes with every "off" seen, so
// a frame that was taken on one side of a cut is never sent on the other.
class Shutoff {
 public:
  enum class Edge : uint8_t { kNone, kOff, kOn };

  // Poll looks at the line and returns an edge worth telling: off when the line
  // stayed off for the debounce time, on when it came back after that. now does
  // not go backwards.
  Edge Poll(Switch& line, Time now);

  // Allows is the answer as of the last Poll.
  bool Allows() const { return state_ == State::kOn; }
  // Announced reports that the last edge told was off.
  bool Announced() const { return announced_; }
  uint32_t generation() const { return generation_; }
  // Due is when the next Poll could change something by time alone.
  Time Due() const { return state_ == State::kOn || state_ == State::kHeld ? kNever : since_ + kDebounce; }

 private:
  enum class State : uint8_t {
    kOn,
    kOff,      // seen off, not yet for long
    kHeld,     // off and told
    kClosing,  // seen on, not yet for long
  };
  State state_ = State::kClosing;  // until the line was on for a while
  bool announced_ = false;
  uint32_t generation_ = 0;
  Time since_ = 0;
};

}  // namespace porthole
