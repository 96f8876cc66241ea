// Text in fixed buffers: no heap, no printf.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace porthole {

// TextBuilder appends to a buffer of fixed size. What does not fit is cut, and
// Overflowed says so; the text is NUL-terminated at all times.
class TextBuilder {
 public:
  // cap is at least 1.
  TextBuilder(char* buffer, size_t cap) : buffer_(buffer), cap_(cap) { buffer_[0] = 0; }

  TextBuilder& Add(const char* s) { return Add(s, strlen(s)); }
  TextBuilder& Add(const char* s, size_t n);
  TextBuilder& Add(char c) { return Add(&c, 1); }
  TextBuilder& Unsigned(uint64_t n);
  TextBuilder& Signed(int64_t n);
  TextBuilder& Hex(uint32_t n);  // without 0x, no leading zeros
  void Clear() { size_ = 0, overflowed_ = false, buffer_[0] = 0; }

  const char* data() const { return buffer_; }
  size_t size() const { return size_; }
  bool overflowed() const { return overflowed_; }

 private:
  char* buffer_;
  size_t cap_;
  size_t size_ = 0;
  bool overflowed_ = false;
};

// ParseUnsigned reads decimal digits and nothing else; false for an empty text,
// another character or a number above max.
bool ParseUnsigned(const char* s, size_t n, uint64_t max, uint64_t* value);

// EqualFold compares with ASCII letters of either case; lower is in lower case.
bool EqualFold(const char* s, size_t n, const char* lower);

// Visible reports whether s is printable ASCII without blanks; blanks: or with.
bool Visible(const char* s, bool blanks);

}  // namespace porthole
