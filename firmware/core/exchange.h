// One request and its answer over the transport.
#pragma once

#include "request.h"
#include "response.h"

namespace porthole {

// Times of an exchange in milliseconds.
constexpr Time kConnectTimeout = 30000;  // TCP and TLS together (esp32-wire 3.1, 6)
constexpr Time kSendTimeout = 10000;     // without progress
constexpr Time kSilence = 10000;         // after the last byte of either side (esp32-wire 1.5)
constexpr Time kPoll = 100;              // how often the sketch looks for an answer (esp32-wire 1.5)

// Exchange drives one request at a time. A step sends at most one record, so
// that its caller can look at the switch between any two of them.
//
//	          ┌────────── kept connection died before an answer ──────────┐
//	          ▼                                                           │
//	idle ─▶ connect ─▶ send ─▶ … ─▶ await ─▶ answered                     │
//	          │          └────────────┴───────────────────────────────────┘
//	          └─────────────────▶ failed ◀── silence, refusal, loss
class Exchange {
 public:
  enum class Progress : uint8_t {
    kIdle,     // nothing begun
    kMoved,    // call again at once
    kWaiting,  // call again at Due, and before it when the socket is ready
    kAnswered,
    kFailed,
  };

  // Result is valid after kAnswered and kFailed.
  struct Result {
    int status = 0;  // 0 without an answer
    Failure failure;
    bool has_reply = false;
    Reply reply;
    Time retry_after = 0;  // ms
  };

  Exchange(Transport& transport, Profile profile) : transport_(transport), profile_(profile) {}

  // Upload and Notice begin. All that is borrowed stays until the end.
  void Upload(const Endpoint& to, const Address& address, Bytes jpeg, Time now);
  void Notice(const Endpoint& to, const Address& address, bool on, Time now);
  Progress Step(Time now);
  // Abort drops the connection, and with it what is half sent.
  void Abort();
  // Disconnect drops a connection that is kept between exchanges.
  void Disconnect();

  bool busy() const { return state_ != State::kIdle; }
  bool connected() const { return connected_; }
  Time Due() const { return due_; }
  const Result& result() const { return result_; }
  RequestWriter& writer() { return writer_; }

 private:
  enum class State : uint8_t { kIdle, kProbe, kConnect, kSend, kAwait };

  void Begin(const Endpoint& to, const Address& address, Time now);
  void Rewind();
  Progress Connect(Time now);
  Progress Send(Time now);
  Progress Await(Time now);
  Progress Failed(Time now, Failure failure);
  Progress Answered();
  Progress Wait(Time until);

  Transport& transport_;
  const Profile profile_;
  RequestWriter writer_;
  Answer answer_;
  SketchAnswer sketch_;
  Result result_;
  Endpoint to_;
  Address address_;
  Bytes jpeg_, record_;
  State state_ = State::kIdle;
  bool connected_ = false, reused_ = false, heard_ = false, asked_ = false;
  bool notice_ = false, on_ = false, pending_ = false;
  Time due_ = kNever, deadline_ = kNever;
  Time look_ = 0;  // when the sketch looks for an answer next
};

}  // namespace porthole
