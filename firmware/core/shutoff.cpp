#include "shutoff.h"

namespace porthole {

Shutoff::Edge Shutoff::Poll(Switch& line, Time now) {
  const bool tripped = line.Tripped();  // both, so that the latch is always cleared
  const bool off = line.Off();
  if (off || tripped) {
    generation_++;
    if (state_ == State::kOn || state_ == State::kClosing) {
      state_ = announced_ ? State::kHeld : State::kOff;
      since_ = now;
    }
  }
  if (!off && (state_ == State::kOff || state_ == State::kHeld)) {
    state_ = State::kClosing;
    since_ = now;
  } else if (!off && tripped) {
    since_ = now;  // a bounce on the way back
  }
  if (state_ == State::kOff && now - since_ >= kDebounce) {
    state_ = State::kHeld;
    announced_ = true;
    return Edge::kOff;
  }
  if (state_ == State::kClosing && now - since_ >= kDebounce) {
    state_ = State::kOn;
    const bool told = announced_;
    announced_ = false;
    return told ? Edge::kOn : Edge::kNone;
  }
  return Edge::kNone;
}

}  // namespace porthole
