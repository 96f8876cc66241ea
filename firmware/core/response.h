// The responses, as the board reads them: bounded, whatever a server sends.
#pragma once

#include "io.h"

namespace porthole {

// Reply is what the server says to a board that asked for JSON.
struct Reply {
  uint64_t sequence = 0;     // of the accepted frame
  uint32_t waves = 0;        // people who waved since the last reply
  uint32_t interval_ms = 0;  // to the next frame; 0 leaves the board's own
};

// ParseReply reads one JSON object. Unknown keys of any value are skipped; a
// known key that is no whole number in range spoils all of it.
bool ParseReply(const char* json, size_t size, Reply* reply);

// Answer reads one response: status, length, whether the connection lives on,
// Retry-After, and the JSON of a short body. internal/wire has the same reader
// in Go; both are held against the same vectors.
class Answer {
 public:
  void Reset() { *this = Answer(); }
  // Feed takes the next bytes and returns how many belong to this response.
  size_t Feed(const uint8_t* data, size_t size);
  bool Done() const { return state_ == State::kDone; }
  // Status is 0 until there is one.
  int Status() const { return status_; }
  // Close says that the connection must not be used again.
  bool Close() const { return close_; }
  bool Malformed() const { return malformed_; }
  uint32_t RetryAfterMs() const { return retry_ms_; }
  bool GetReply(Reply* reply) const;

 private:
  static constexpr size_t kLine = 128;      // kept of each header line
  static constexpr size_t kHead = 8 << 10;  // of all header lines
  static constexpr size_t kBody = 512;      // kept of the body
  static constexpr size_t kWait = 64 << 10;  // of body that is read to keep the connection

  enum class State : uint8_t { kStatusLine, kHeader, kBody, kDone };

  void HeaderByte(char c);
  void StatusLine(const char* s, size_t n);
  void HeaderLine(const char* s, size_t n);
  void HeaderEnd();
  void Fail();

  State state_ = State::kStatusLine;
  int status_ = 0;
  bool close_ = false, malformed_ = false, coded_ = false;
  bool known_ = false;  // the length was given
  uint32_t retry_ms_ = 0;
  size_t head_ = 0, line_size_ = 0;
  size_t length_ = 0, got_ = 0, body_size_ = 0;
  char line_[kLine] = {};
  char body_[kBody] = {};
};

// SketchAnswer is the sketch's response loop: it ends at the first empty line
// and looks at nothing (esp32-wire 1.5). The status is kept for people.
class SketchAnswer {
 public:
  void Reset() { *this = SketchAnswer(); }
  // Feed reports whether the sketch would stop waiting now.
  bool Feed(uint8_t byte);
  int Status() const;

 private:
  bool line_used_ = false, done_ = false, status_done_ = false;
  size_t size_ = 0;
  char status_[16] = {};
};

}  // namespace porthole
