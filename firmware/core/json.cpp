// The reader of the server's JSON reply: one pass over at most 512 bytes, depth
// counted instead of stacked.
#include "response.h"
#include "text.h"

namespace porthole {
namespace {

// Scanner walks over JSON. Every method is false at the first thing that is none.
class Scanner {
 public:
  Scanner(const char* s, size_t n) : s_(s), end_(s + n) {}

  void Blanks() {
    while (s_ < end_ && (*s_ == ' ' || *s_ == '\t' || *s_ == '\r' || *s_ == '\n')) s_++;
  }
  bool Take(char c) {
    Blanks();
    if (s_ == end_ || *s_ != c) return false;
    s_++;
    return true;
  }
  char Peek() {
    Blanks();
    return s_ == end_ ? 0 : *s_;
  }
  bool AtEnd() {
    Blanks();
    return s_ == end_;
  }

  // String gives the raw text between the quotes.
  bool String(const char** text, size_t* size) {
    if (!Take('"')) return false;
    *text = s_;
    while (s_ < end_ && *s_ != '"') {
      if (static_cast<unsigned char>(*s_) < 0x20) return false;
      if (*s_ == '\\' && !Escape()) return false;
      s_++;
    }
    *size = static_cast<size_t>(s_ - *text);
    return Take('"');
  }

  // Whole reads a number without sign, fraction or exponent.
  bool Whole(uint64_t max, uint64_t* value) {
    const char* from = s_;
    while (s_ < end_ && *s_ >= '0' && *s_ <= '9') s_++;
    const size_t n = static_cast<size_t>(s_ - from);
    if (n > 1 && *from == '0') return false;
    if (s_ < end_ && (*s_ == '.' || *s_ == 'e' || *s_ == 'E')) return false;
    return ParseUnsigned(from, n, max, value);
  }

  // Skip passes over any value.
  bool Skip(int depth) {
    if (depth == 0) return false;
    const char c = Peek();
    if (c == '"') {
      const char* text;
      size_t size;
      return String(&text, &size);
    }
    if (c == '{' || c == '[') return SkipGroup(c == '{' ? '}' : ']', depth);
    static constexpr const char* kWords[] = {"true", "false", "null"};
    for (const char* word : kWords) {
      const size_t n = strlen(word);
      if (static_cast<size_t>(end_ - s_) >= n && memcmp(s_, word, n) == 0) {
        s_ += n;
        return true;
      }
    }
    return Number();
  }

 private:
  // Escape stands on the backslash and leaves on the last character.
  bool Escape() {
    if (++s_ == end_) return false;
    if (*s_ != 'u') return strchr("\"\\/bfnrt", *s_) != nullptr && *s_ != 0;
    for (int i = 0; i < 4; i++) {
      if (++s_ == end_) return false;
      const char c = static_cast<char>(*s_ | 0x20);
      if (!((*s_ >= '0' && *s_ <= '9') || (c >= 'a' && c <= 'f'))) return false;
    }
    return true;
  }

  bool SkipGroup(char close, int depth) {
    s_++;
    if (Take(close)) return true;
    do {
      const char* text;
      size_t size;
      if (close == '}' && (!String(&text, &size) || !Take(':'))) return false;
      if (!Skip(depth - 1)) return false;
    } while (Take(','));
    return Take(close);
  }

  bool Digits() {
    const char* from = s_;
    while (s_ < end_ && *s_ >= '0' && *s_ <= '9') s_++;
    return s_ > from;
  }

  bool Number() {
    if (s_ < end_ && *s_ == '-') s_++;
    const char* from = s_;
    if (!Digits() || (*from == '0' && s_ - from > 1)) return false;
    if (s_ < end_ && *s_ == '.') {
      s_++;
      if (!Digits()) return false;
    }
    if (s_ < end_ && (*s_ == 'e' || *s_ == 'E')) {
      s_++;
      if (s_ < end_ && (*s_ == '+' || *s_ == '-')) s_++;
      if (!Digits()) return false;
    }
    return true;
  }

  const char* s_;
  const char* end_;
};

constexpr int kMaxDepth = 8;

bool Is(const char* key, size_t n, const char* want) {
  return n == strlen(want) && memcmp(key, want, n) == 0;
}

}  // namespace

bool ParseReply(const char* json, size_t size, Reply* reply) {
  Reply r;
  if (size == 0 || json[0] != '{') return false;
  Scanner in(json, size);
  in.Take('{');
  if (!in.Take('}')) {
    do {
      const char* key;
      size_t n;
      uint64_t value = 0;
      if (!in.String(&key, &n) || !in.Take(':')) return false;
      in.Blanks();
      if (Is(key, n, "sequence")) {
        if (!in.Whole(UINT64_MAX, &r.sequence)) return false;
      } else if (Is(key, n, "waves")) {
        if (!in.Whole(UINT32_MAX, &value)) return false;
        r.waves = static_cast<uint32_t>(value);
      } else if (Is(key, n, "interval_ms")) {
        if (!in.Whole(UINT32_MAX, &value)) return false;
        r.interval_ms = static_cast<uint32_t>(value);
      } else if (!in.Skip(kMaxDepth)) {
        return false;
      }
    } while (in.Take(','));
    if (!in.Take('}')) return false;
  }
  if (!in.AtEnd()) return false;
  *reply = r;
  return true;
}

}  // namespace porthole
