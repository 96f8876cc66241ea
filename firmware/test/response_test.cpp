// The response readers against the vectors of the Go reader, and against noise.
#include <stdlib.h>

#include <map>

#include "../core/response.h"
#include "test.h"

using namespace porthole;

namespace {

std::string Unescape(const std::string& s) {
  std::string out;
  for (size_t i = 0; i < s.size(); i++) {
    if (s[i] != '\\') {
      out += s[i];
      continue;
    }
    const char c = s[++i];
    if (c == 'r') {
      out += '\r';
    } else if (c == 'n') {
      out += '\n';
    } else if (c == 'x') {
      out += static_cast<char>(strtoul(s.substr(i + 1, 2).c_str(), nullptr, 16));
      i += 2;
    } else {
      CHECK(false);
    }
  }
  return out;
}

size_t Feed(Answer& a, const std::string& s) { return a.Feed(reinterpret_cast<const uint8_t*>(s.data()), s.size()); }

size_t FeedSlowly(Answer& a, const std::string& s) {
  size_t used = 0;
  for (char c : s) used += Feed(a, std::string(1, c));
  return used;
}

std::string Describe(const Answer& a, size_t used) {
  Reply r;
  std::string reply = "-";
  if (a.GetReply(&r)) {
    reply = std::to_string(r.sequence) + " " + std::to_string(r.waves) + " " + std::to_string(r.interval_ms);
  }
  return "used: " + std::to_string(used) + "\ndone: " + test::Show(a.Done()) + "\nstatus: " + std::to_string(a.Status()) +
         "\nclose: " + test::Show(a.Close()) + "\nmalformed: " + test::Show(a.Malformed()) +
         "\nretry-ms: " + std::to_string(a.RetryAfterMs()) + "\nreply: " + reply;
}

std::vector<std::string> Blocks() {
  std::string text = test::ReadFile(test::root + "/internal/wire/testdata/responses/responses.txt");
  std::vector<std::string> blocks;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find("\n\n", at);
    if (end == std::string::npos) end = text.size() - 1;
    blocks.push_back(text.substr(at, end - at));
    at = end + 2;
  }
  return blocks;
}

}  // namespace

TEST(AnswerVectors) {
  const std::vector<std::string> blocks = Blocks();
  CHECK(blocks.size() >= 20);
  for (const std::string& block : blocks) {
    const size_t first = block.find('\n'), second = block.find('\n', first + 1);
    test::Trace trace(block.substr(0, first));
    const std::string feed = Unescape(block.substr(first + 7, second - first - 7));
    const std::string want = block.substr(second + 1);
    Answer whole, slow;
    const size_t used = Feed(whole, feed);
    CHECK_EQ(Describe(whole, used), want);
    const size_t slow_used = FeedSlowly(slow, feed);
    CHECK_EQ(Describe(slow, slow_used), want);
  }
}

// Damaged answers: the same for the whole and byte by byte, and nothing outside
// the buffers, which the sanitizers watch.
TEST(AnswerNoise) {
  constexpr uint64_t kSeed = 7;
  test::Rng rng(kSeed);
  std::vector<std::string> good;
  for (const std::string& block : Blocks()) {
    const size_t first = block.find('\n'), second = block.find('\n', first + 1);
    good.push_back(Unescape(block.substr(first + 7, second - first - 7)));
  }
  for (int run = 0; run < 20000; run++) {
    std::string s = good[rng.Below(good.size())];
    for (uint64_t n = rng.Below(6); n > 0 && !s.empty(); n--) {
      const size_t at = rng.Below(s.size());
      switch (rng.Below(4)) {
        case 0: s[at] = static_cast<char>(rng.Next()); break;
        case 1: s.insert(at, std::string(rng.Below(300), "\n{a\r:9"[rng.Below(6)])); break;
        case 2: s.erase(at, rng.Below(20)); break;
        default: s.insert(at, good[rng.Below(good.size())]); break;
      }
    }
    Answer whole, slow;
    const size_t a = Feed(whole, s), b = FeedSlowly(slow, s);
    if (Describe(whole, a) != Describe(slow, b)) {
      test::Trace trace("seed 7, run " + std::to_string(run));
      CHECK_EQ(Describe(whole, a), Describe(slow, b));
    }
    Reply reply;
    ParseReply(s.data(), s.size(), &reply);
    SketchAnswer sketch;
    for (char c : s) sketch.Feed(static_cast<uint8_t>(c));
    CHECK(sketch.Status() >= 0 && sketch.Status() <= 999);
  }
}

TEST(ReplyDepth) {
  Reply r;
  const std::string deep = "{\"x\":" + std::string(200, '[') + std::string(200, ']') + "}";
  CHECK(!ParseReply(deep.data(), deep.size(), &r));
  const std::string flat = "{\"x\":[[[1]],{\"y\":{}}],\"waves\":4}";
  CHECK(ParseReply(flat.data(), flat.size(), &r));
  CHECK_EQ(r.waves, 4u);
}

TEST(SketchAnswerEnds) {
  SketchAnswer a;
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r";
  for (char c : head) CHECK(!a.Feed(static_cast<uint8_t>(c)));
  CHECK(a.Feed('\n'));
  CHECK_EQ(a.Status(), 200);
}
