#include "response.h"

#include "text.h"

namespace porthole {

size_t Answer::Feed(const uint8_t* data, size_t size) {
  size_t n = 0;
  while (n < size && state_ != State::kDone) {
    if (state_ != State::kBody) {
      HeaderByte(static_cast<char>(data[n++]));
      continue;
    }
    const size_t left = length_ - got_;
    const size_t take = left < size - n ? left : size - n;
    const size_t room = kBody - body_size_;
    const size_t keep = take < room ? take : room;
    memcpy(body_ + body_size_, data + n, keep);
    body_size_ += keep;
    got_ += take;
    n += take;
    if (got_ == length_) state_ = State::kDone;
  }
  return n;
}

void Answer::HeaderByte(char c) {
  if (++head_ > kHead) return Fail();
  if (c != '\n') {
    if (line_size_ < kLine) line_[line_size_++] = c;
    return;
  }
  size_t n = line_size_;
  line_size_ = 0;
  if (n > 0 && line_[n - 1] == '\r') n--;
  if (state_ == State::kStatusLine) return StatusLine(line_, n);
  if (n == 0) return HeaderEnd();
  HeaderLine(line_, n);
}

void Answer::Fail() {
  status_ = 0;
  malformed_ = close_ = true;
  state_ = State::kDone;
}

void Answer::StatusLine(const char* s, size_t n) {
  // "HTTP/1.1 200" and then a blank or nothing.
  uint64_t status = 0;
  if (n < 12 || memcmp(s, "HTTP/1.", 7) != 0 || (s[7] != '0' && s[7] != '1') || s[8] != ' ' ||
      (n > 12 && s[12] != ' ') || !ParseUnsigned(s + 9, 3, 999, &status) || status < 100) {
    return Fail();
  }
  status_ = static_cast<int>(status);
  close_ = s[7] == '0';
  known_ = false;
  retry_ms_ = 0;
  state_ = State::kHeader;
}

void Answer::HeaderLine(const char* s, size_t n) {
  size_t colon = 0;
  while (colon < n && s[colon] != ':') colon++;
  size_t from = colon < n ? colon + 1 : n;
  while (from < n && (s[from] == ' ' || s[from] == '\t')) from++;
  while (n > from && (s[n - 1] == ' ' || s[n - 1] == '\t')) n--;
  const char* value = s + from;
  const size_t size = n - from;
  uint64_t number = 0;
  const bool is_number = size <= 9 && ParseUnsigned(value, size, 999999999, &number);
  if (EqualFold(s, colon, "content-length")) {
    if (!is_number || (known_ && length_ != number)) return Fail();
    known_ = true;
    length_ = static_cast<size_t>(number);
  } else if (EqualFold(s, colon, "transfer-encoding")) {
    close_ = coded_ = true;  // not worth a second parser; the body is left unread
  } else if (EqualFold(s, colon, "connection")) {
    if (EqualFold(value, size, "close")) close_ = true;
  } else if (EqualFold(s, colon, "retry-after")) {
    if (is_number) retry_ms_ = static_cast<uint32_t>(number > 3600 ? 3600 : number) * 1000;
  }
}

void Answer::HeaderEnd() {
  if (status_ < 200) {  // 100 and 103 announce the real one
    status_ = 0;
    state_ = State::kStatusLine;
  } else if (status_ == 204 || status_ == 304) {
    state_ = State::kDone;
  } else if (coded_ || !known_ || length_ > kWait) {
    close_ = true;
    state_ = State::kDone;
  } else {
    state_ = length_ == 0 ? State::kDone : State::kBody;
  }
}

bool Answer::GetReply(Reply* reply) const {
  return got_ <= kBody && ParseReply(body_, body_size_, reply);
}

bool SketchAnswer::Feed(uint8_t byte) {
  if (byte == '\n') {
    if (!line_used_) done_ = true;
    line_used_ = false;
    status_done_ = true;
  } else if (byte != '\r') {
    line_used_ = true;
    if (!status_done_ && size_ < sizeof status_ - 1) status_[size_++] = static_cast<char>(byte);
  }
  return done_;
}

int SketchAnswer::Status() const {
  uint64_t status = 0;
  const char* blank = strchr(status_, ' ');
  if (strncmp(status_, "HTTP/", 5) != 0 || blank == nullptr) return 0;
  const char* end = strchr(blank + 1, ' ');
  const size_t n = end == nullptr ? strlen(blank + 1) : static_cast<size_t>(end - blank - 1);
  if (n != 3 || !ParseUnsigned(blank + 1, 3, 999, &status) || status < 100) return 0;
  return static_cast<int>(status);
}

}  // namespace porthole
