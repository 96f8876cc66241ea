// The small parts, one by one.
#include "../core/backoff.h"
#include "../core/config.h"
#include "../core/console.h"
#include "../core/jpeg.h"
#include "../core/led.h"
#include "../core/schedule.h"
#include "../core/shutoff.h"
#include "../core/text.h"
#include "fake.h"
#include "test.h"

using namespace porthole;

TEST(TextIsCutNeverOverrun) {
  char buffer[8];
  TextBuilder t(buffer, sizeof buffer);
  t.Add("abc").Unsigned(1234);
  CHECK_EQ(std::string(t.data()), std::string("abc1234"));
  CHECK(!t.overflowed());
  t.Add("x");
  CHECK(t.overflowed());
  CHECK_EQ(std::string(t.data()), std::string("abc1234"));
  t.Clear();
  t.Signed(INT64_MIN);
  CHECK_EQ(std::string(t.data()), std::string("-922337"));
}

TEST(ParseUnsignedRows) {
  const struct {
    const char* text;
    uint64_t max;
    bool ok;
    uint64_t value;
  } rows[] = {
      {"0", 9, true, 0},          {"9", 9, true, 9},       {"10", 9, false, 0},
      {"", 9, false, 0},          {"-1", 9, false, 0},     {"1x", 99, false, 0},
      {"007", 9, true, 7},        {"5", 3, false, 0},      {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
      {"18446744073709551616", UINT64_MAX, false, 0},
  };
  for (const auto& row : rows) {
    test::Trace trace(row.text);
    uint64_t v = 0;
    CHECK_EQ(ParseUnsigned(row.text, strlen(row.text), row.max, &v), row.ok);
    if (row.ok) CHECK_EQ(v, row.value);
  }
}

TEST(BackoffCeilings) {
  FakeRandom random(1);
  Backoff b;
  Time longest[10] = {};
  for (int run = 0; run < 2000; run++) {
    b.Reset();
    for (Time& l : longest) {
      const Time wait = b.Next(random, 0);
      if (wait > l) l = wait;
    }
  }
  const Time ceilings[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000, 60000};
  for (int i = 0; i < 10; i++) {
    test::Trace trace("attempt " + std::to_string(i + 1));
    CHECK(longest[i] < ceilings[i]);
    CHECK(longest[i] > ceilings[i] * 9 / 10);  // full jitter reaches up to it
  }
  CHECK_EQ(b.attempt(), 10u);
  CHECK(b.Next(random, 3600000) >= 3600000);  // Retry-After is honoured above the cap
}

TEST(ScheduleKeepsTheGrid) {
  Schedule s;
  s.Start(1000, 2000);
  CHECK_EQ(s.due(), Time(1000));
  s.Finished(1400);
  CHECK_EQ(s.due(), Time(3000));
  s.Finished(5090);  // a late timer
  CHECK_EQ(s.due(), Time(5000));
  s.Finished(9000);  // an upload longer than the interval is followed at once
  CHECK_EQ(s.due(), Time(9000));
  CHECK(!s.SetInterval(2000));
  CHECK(s.SetInterval(1));
  CHECK_EQ(s.interval(), kMinInterval);
  CHECK(s.SetInterval(kNever));
  CHECK_EQ(s.interval(), kMaxInterval);
}

TEST(FrameChecks) {
  std::vector<uint8_t> good(1000, 0x55);
  good[0] = 0xFF, good[1] = 0xD8, good[998] = 0xFF, good[999] = 0xD9;
  const auto check = [](const std::vector<uint8_t>& b, Time captured, Time delivered) {
    Frame f;
    f.jpeg = {b.data(), b.size()};
    f.captured = captured, f.delivered = delivered;
    const char* why = CheckFrame(f);
    return std::string(why == nullptr ? "good" : why);
  };
  CHECK_EQ(check(good, 5, 50), std::string("good"));
  CHECK_EQ(check(good, 5, 1005), std::string("good"));
  CHECK_EQ(check(good, 5, 1006), std::string("frame is stale"));
  CHECK_EQ(check(good, 6, 5), std::string("frame is from the future"));
  CHECK_EQ(check({}, 0, 0), std::string("frame is too small"));
  CHECK_EQ(check(std::vector<uint8_t>(1000001), 0, 0), std::string("frame is too large"));
  std::vector<uint8_t> bad = good;
  bad[0] = 0;
  CHECK_EQ(check(bad, 0, 0), std::string("frame has no start"));
  bad = good;
  bad.pop_back();  // NO-EOI
  CHECK_EQ(check(bad, 0, 0), std::string("frame has no end"));
}

TEST(ShutoffDebounce) {
  FakeSwitch line;
  Shutoff s;
  CHECK(s.Poll(line, 0) == Shutoff::Edge::kNone);
  CHECK(!s.Allows());  // nothing is allowed before the line was on for a while
  s.Poll(line, 30);
  CHECK(s.Allows());
  const uint32_t before = s.generation();
  line.Cut(true);
  CHECK(s.Poll(line, 100) == Shutoff::Edge::kNone);
  CHECK(!s.Allows());  // at once
  CHECK(s.generation() != before);
  CHECK(s.Poll(line, 129) == Shutoff::Edge::kNone);
  CHECK(s.Poll(line, 130) == Shutoff::Edge::kOff);
  CHECK(s.Poll(line, 500) == Shutoff::Edge::kNone);
  line.Cut(false);
  CHECK(s.Poll(line, 600) == Shutoff::Edge::kNone);
  CHECK(s.Poll(line, 629) == Shutoff::Edge::kNone);
  CHECK(!s.Allows());
  CHECK(s.Poll(line, 630) == Shutoff::Edge::kOn);
  CHECK(s.Allows());
  // A glitch between two looks counts too, and is told to nobody.
  line.Cut(true), line.Cut(false);
  CHECK(s.Poll(line, 700) == Shutoff::Edge::kNone);
  CHECK(!s.Allows());
  CHECK(s.Poll(line, 730) == Shutoff::Edge::kNone);
  CHECK(s.Allows());
}

// Whatever the line does: never allowed within 30 ms of "off", edges alternate,
// and a line that rests is told as it is.
TEST(ShutoffNoise) {
  for (uint64_t seed = 0; seed < 300; seed++) {
    test::Trace trace("seed " + std::to_string(seed));
    test::Rng rng(seed);
    FakeSwitch line;
    Shutoff s;
    Time last_off = 0, now = 0;
    bool told_off = false;
    for (int i = 0; i < 500; i++) {
      now += rng.Below(rng.Below(10) == 0 ? 100 : 12);
      if (rng.Below(4) == 0) {
        line.Cut(rng.Below(2) == 0);
      }
      if (rng.Below(20) == 0) line.Cut(true), line.Cut(false);
      if (line.off || line.tripped) last_off = now;
      const Shutoff::Edge edge = s.Poll(line, now);
      if (s.Allows()) CHECK(!line.off && now - last_off >= kDebounce);
      if (edge != Shutoff::Edge::kNone) {
        CHECK((edge == Shutoff::Edge::kOff) != told_off);
        told_off = edge == Shutoff::Edge::kOff;
      }
      CHECK_EQ(s.Announced(), told_off);
    }
    line.Cut(false);
    for (int i = 0; i < 10; i++) s.Poll(line, now += 10);
    CHECK(s.Allows() && !s.Announced());
  }
}

TEST(LedPatterns) {
  LedShow show;
  FakeLed led;
  const auto lit = [&](Time from, Time until) {
    Time on = 0;
    for (Time t = from; t < until; t++) {
      show.Step(t, led);
      on += led.on ? 1 : 0;
    }
    return on;
  };
  CHECK_EQ(lit(0, 1000), Time(0));
  show.Set(LedShow::Mode::kOn);
  CHECK_EQ(lit(1000, 2000), Time(1000));
  show.Set(LedShow::Mode::kSlow);
  CHECK_EQ(lit(2000, 4000), Time(1000));
  show.Set(LedShow::Mode::kPairs);
  CHECK_EQ(lit(4000, 6000), Time(200));
  show.Set(LedShow::Mode::kDark);
  led.changes = 0;
  show.Wave(3, 6000);
  CHECK_EQ(lit(6000, 9000), Time(450));
  CHECK_EQ(led.changes, 6);
  led.changes = 0;
  show.Wave(1000000, 10000);
  lit(10000, 20000);
  CHECK_EQ(led.changes, 20);
  // The next change is told, so that nobody has to ask every millisecond.
  show.Set(LedShow::Mode::kSlow);
  CHECK_EQ(show.Step(20000, led), Time(20500));
  CHECK_EQ(show.Step(20500, led), Time(21000));
}

TEST(ConsoleEscapes) {
  FakeLog log;
  ConsoleLine('W', 1834, "wifi failed").Text("ssid", "a\"b\\c\x1b[2J\xff").Number("reason", -1).Code("code", 0x105).Code("none", -1).To(log);
  CHECK_EQ(log.lines.back(), std::string("W (1834) porthole: wifi failed ssid=\"a\\x22b\\x5cc\\x1b[2J\\xff\" reason=-1 code=0x105 none=-1"));
  const std::string endless(5000, '\x01');
  ConsoleLine('W', 0, "unknown command").Text("what", endless.c_str()).To(log);
  CHECK(log.lines.back().size() < 1024);
}

TEST(CropRows) {
  const struct {
    const char* text;
    bool ok;
  } rows[] = {{"", true},           {"400x296+200+152", true}, {"800x600+0+0", true}, {"16x8+0+0", true},  {"816x600+0+0", false},
              {"800x600+4+0", false}, {"17x8+0+0", false},       {"16x9+0+0", false},   {"16x8+1+0", false}, {"16x8", false},
              {"16x8+0+0 ", false}, {"x8+0+0", false},         {"16x8+0+99999999999", false}, {"-16x8+0+0", false}, {"0x0+0+0", false}};
  for (const auto& row : rows) {
    test::Trace trace(row.text);
    Crop crop;
    CHECK_EQ(ParseCrop(row.text, &crop) == nullptr, row.ok);
    CHECK(row.ok || crop.Whole());
  }
}

TEST(ConfigRows) {
  const struct {
    const char* key;
    const char* value;  // nullptr: the key is removed
    const char* fault;  // nullptr: accepted
  } rows[] = {
      {"name", "door", nullptr},
      {"ssid", nullptr, "missing ssid"},
      {"ssid", "", "wrong ssid: is empty"},
      {"ssid", "123456789012345678901234567890123", "wrong ssid: is longer than 32 bytes"},
      {"password", "", nullptr},
      {"password", "short", "wrong password: want 8 to 63 printable characters, 64 hex digits, or nothing"},
      {"password", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", nullptr},
      {"host", "https://example.org", "wrong host: is not a name or an address"},
      {"host", "2001:db8::1", nullptr},
      {"port", nullptr, "missing port"},
      {"port", "#0", "wrong port: 0 is outside 1..65535"},
      {"path", nullptr, nullptr},
      {"path", "upload", "wrong path: must start with a slash"},
      {"token", "two words", "wrong token: want 1 to 128 visible characters"},
      {"ca", "", nullptr},
      {"ca", "hello", "wrong ca: holds no PEM block"},
      {"ca", "-----BEGIN PRIVATE KEY-----", "wrong ca: holds a PEM block that is no certificate"},
      {"interval", "#99", "wrong interval: 99 is outside 100..3600000"},
      {"interval", "#5000", nullptr},
      {"interval", "text", "wrong interval: is not stored as u32"},
      {"crop", "17x8+0+0", "wrong crop: width must be a multiple of 16, height of 8, offsets of 4"},
      {"crop", "nonsense", "wrong crop: want WxH+X+Y"},
  };
  for (const auto& row : rows) {
    test::Trace trace(std::string(row.key) + "=" + (row.value == nullptr ? "(removed)" : row.value));
    FakeStore store;
    if (row.value == nullptr) {
      store.values.erase(row.key);
    } else {
      store.values[row.key] = row.value;
    }
    struct Faults : ConfigFaults {
      std::string text;
      void Fault(const ConfigFault& f) override {
        text += f.missing ? std::string("missing ") + f.key : std::string("wrong ") + f.key + ": " + f.why;
      }
    } faults;
    static Config config;
    CHECK_EQ(LoadConfig(store, &config, faults), row.fault == nullptr);
    CHECK_EQ(faults.text, std::string(row.fault == nullptr ? "" : row.fault));
    if (row.fault == nullptr && strcmp(row.key, "path") == 0) CHECK_EQ(std::string(config.path), std::string("/upload"));
  }
}
