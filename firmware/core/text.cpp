#include "text.h"

namespace porthole {

TextBuilder& TextBuilder::Add(const char* s, size_t n) {
  const size_t room = cap_ - 1 - size_;
  if (n > room) {
    n = room;
    overflowed_ = true;
  }
  memcpy(buffer_ + size_, s, n);
  size_ += n;
  buffer_[size_] = 0;
  return *this;
}

TextBuilder& TextBuilder::Unsigned(uint64_t n) {
  char digits[20];
  size_t i = sizeof digits;
  do {
    digits[--i] = static_cast<char>('0' + n % 10);
    n /= 10;
  } while (n != 0);
  return Add(digits + i, sizeof digits - i);
}

TextBuilder& TextBuilder::Signed(int64_t n) {
  if (n >= 0) return Unsigned(static_cast<uint64_t>(n));
  return Add('-').Unsigned(0 - static_cast<uint64_t>(n));
}

TextBuilder& TextBuilder::Hex(uint32_t n) {
  char digits[8];
  size_t i = sizeof digits;
  do {
    digits[--i] = "0123456789abcdef"[n & 15];
    n >>= 4;
  } while (n != 0);
  return Add(digits + i, sizeof digits - i);
}

bool ParseUnsigned(const char* s, size_t n, uint64_t max, uint64_t* value) {
  uint64_t v = 0;
  for (size_t i = 0; i < n; i++) {
    if (s[i] < '0' || s[i] > '9') return false;
    const uint64_t digit = static_cast<uint64_t>(s[i] - '0');
    if (v > (max - digit) / 10 || digit > max) return false;
    v = v * 10 + digit;
  }
  *value = v;
  return n > 0;
}

bool EqualFold(const char* s, size_t n, const char* lower) {
  for (size_t i = 0; i < n; i++) {
    char c = s[i];
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    if (lower[i] == 0 || c != lower[i]) return false;
  }
  return lower[n] == 0;
}

bool Visible(const char* s, bool blanks) {
  for (; *s != 0; s++) {
    if ((*s <= ' ' || *s > '~') && !(blanks && *s == ' ')) return false;
  }
  return true;
}

}  // namespace porthole
