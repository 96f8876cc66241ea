#include "exchange.h"

namespace porthole {

void Exchange::Upload(const Endpoint& to, const Address& address, Bytes jpeg, Time now) {
  jpeg_ = jpeg;
  notice_ = false;
  Begin(to, address, now);
}

void Exchange::Notice(const Endpoint& to, const Address& address, bool on, Time now) {
  on_ = on;
  notice_ = true;
  Begin(to, address, now);
}

void Exchange::Begin(const Endpoint& to, const Address& address, Time now) {
  to_ = to;
  address_ = address;
  result_ = Result();
  reused_ = connected_;
  state_ = connected_ ? State::kProbe : State::kConnect;
  deadline_ = now + kConnectTimeout;
  due_ = now;
  Rewind();
}

// Rewind makes the request begin anew.
void Exchange::Rewind() {
  if (notice_) {
    writer_.Notice(address_, on_);
  } else {
    writer_.Upload(profile_, address_, jpeg_);
  }
  answer_.Reset();
  sketch_.Reset();
  heard_ = pending_ = asked_ = false;
}

Exchange::Progress Exchange::Wait(Time until) {
  due_ = until;
  return Progress::kWaiting;
}

Exchange::Progress Exchange::Step(Time now) {
  switch (state_) {
    case State::kIdle: return Progress::kIdle;
    case State::kProbe: {
      // A server that gave the connection up has said so by now; nothing else
      // can have arrived between two exchanges.
      uint8_t byte;
      size_t got = 0;
      if (transport_.Receive(&byte, 1, &got) != Io::kPending) {
        transport_.Close();
        connected_ = reused_ = false;
        state_ = State::kConnect;
      } else {
        state_ = State::kSend;
        deadline_ = now + kSendTimeout;
      }
      return Progress::kMoved;
    }
    case State::kConnect: return Connect(now);
    case State::kSend: return Send(now);
    case State::kAwait: return Await(now);
  }
  return Progress::kIdle;
}

Exchange::Progress Exchange::Connect(Time now) {
  switch (transport_.Connect(to_)) {
    case Io::kDone:
      connected_ = true;
      state_ = State::kSend;
      deadline_ = now + kSendTimeout;
      return Wait(now);  // it may have taken long: a new step, and a new time
    case Io::kPending:
      if (now < deadline_) return Wait(deadline_);
      return Failed(now, {116, "connection timed out"});
    case Io::kFailed: break;
  }
  return Failed(now, transport_.LastFailure());
}

Exchange::Progress Exchange::Send(Time now) {
  if (!pending_ && !writer_.Next(&record_)) {
    state_ = State::kAwait;
    asked_ = true;
    return Wait(now);
  }
  pending_ = true;
  switch (transport_.Send(record_)) {
    case Io::kDone:
      pending_ = false;
      deadline_ = now + kSendTimeout;
      return Progress::kMoved;
    case Io::kPending:
      if (now < deadline_) return Wait(deadline_);
      return Failed(now, {116, "sending timed out"});
    case Io::kFailed: break;
  }
  // A server that refuses early answers and closes while the body is still being
  // sent; the answer says more than the broken pipe.
  const Failure failure = transport_.LastFailure();
  look_ = now;
  const Progress early = Await(now);
  if (early == Progress::kAnswered || state_ != State::kSend) return early;
  return Failed(now, failure);
}

Exchange::Progress Exchange::Await(Time now) {
  if (asked_) {
    asked_ = false;
    look_ = profile_ == Profile::kSketch ? now + kPoll : now;
    deadline_ = now + kSilence;
  }
  if (now < look_) return Wait(look_);
  uint8_t buffer[256];
  for (;;) {
    size_t got = 0;
    const Io io = transport_.Receive(buffer, sizeof buffer, &got);
    if (io == Io::kPending) break;
    if (io == Io::kFailed) return state_ == State::kSend ? Progress::kFailed : Failed(now, transport_.LastFailure());
    if (got == 0) return state_ == State::kSend ? Progress::kFailed : Failed(now, {0, "server closed the connection"});
    heard_ = true;
    deadline_ = now + kSilence;
    if (profile_ == Profile::kSketch) {
      bool done = false;
      for (size_t i = 0; i < got; i++) done = sketch_.Feed(buffer[i]) || done;
      if (!done) continue;
      result_.status = sketch_.Status();
      return Answered();
    }
    const size_t used = answer_.Feed(buffer, got);
    if (!answer_.Done()) continue;
    result_.status = answer_.Status();
    result_.retry_after = answer_.RetryAfterMs();
    result_.has_reply = answer_.GetReply(&result_.reply);
    if (answer_.Malformed()) return Failed(now, {0, "server does not speak HTTP"});
    // An answer that came before the end of the request ends the connection too.
    if (answer_.Close() || used < got || state_ == State::kSend) Disconnect();
    return Answered();
  }
  if (now >= deadline_) return Failed(now, {116, "server does not answer"});
  if (profile_ == Profile::kFirmware) return Wait(deadline_);
  look_ += kPoll * ((now - look_) / kPoll + 1);
  return Wait(look_);
}

Exchange::Progress Exchange::Answered() {
  if (profile_ == Profile::kSketch) Disconnect();
  state_ = State::kIdle;
  due_ = kNever;
  return Progress::kAnswered;
}

// Failed ends the exchange, unless the connection was a kept one that died
// before it gave an answer: then a new one is worth one try.
Exchange::Progress Exchange::Failed(Time now, Failure failure) {
  Disconnect();
  if (reused_ && !heard_) {
    reused_ = false;
    state_ = State::kConnect;
    deadline_ = now + kConnectTimeout;
    Rewind();
    return Progress::kMoved;
  }
  result_.failure = failure;
  state_ = State::kIdle;
  due_ = kNever;
  return Progress::kFailed;
}

void Exchange::Disconnect() {
  transport_.Close();
  connected_ = false;
}

void Exchange::Abort() {
  Disconnect();
  state_ = State::kIdle;
  due_ = kNever;
}

}  // namespace porthole
