// The application in a world of virtual time.
#include "fake.h"
#include "test.h"

using namespace porthole;

namespace {

std::vector<Accepted> Frames(const World& w) {
  std::vector<Accepted> frames;
  for (const Accepted& a : w.accepted) {
    if (a.path == "/upload") frames.push_back(a);
  }
  return frames;
}

}  // namespace

TEST(AppUploads) {
  World w(1);
  w.Run(60000);
  const std::vector<Accepted> frames = Frames(w);
  CHECK(frames.size() >= 28 && frames.size() <= 30);
  for (size_t i = 1; i < frames.size(); i++) {
    CHECK(frames[i].gray);
    CHECK(frames[i].captured - frames[i - 1].captured > 1900);
    CHECK(frames[i].captured - frames[i - 1].captured < 2100);
  }
  CHECK_EQ(w.connects, 1);  // the connection is kept
  CHECK_EQ(w.log.Count("upload ok"), static_cast<int>(frames.size()));
  CHECK_EQ(w.log.Count("W ("), 0);
  const char* const order[] = {"boot ", "config read ", "wifi joining ", "wifi joined ", "camera ready ", "upload ok "};
  for (size_t i = 0; i < 6; i++) CHECK(w.log.lines[i].find(order[i]) != std::string::npos);
  CHECK_EQ(w.log.Count("secret-token") + w.log.Count("correct horse"), 0);
}

TEST(AppSketchProfile) {
  Settings settings;
  settings.profile = Profile::kSketch;
  settings.discard = 0;
  World w(2, settings);
  w.Run(20000);
  const std::vector<Accepted> frames = Frames(w);
  CHECK(frames.size() >= 8);
  CHECK_EQ(w.connects, static_cast<int>(frames.size()));  // one for each frame
  CHECK(!frames[0].gray && !frames[1].gray && frames[2].gray);
}

TEST(AppReply) {
  World w(3);
  w.reply = "{\"sequence\":9,\"waves\":2,\"interval_ms\":5000}";
  w.Run(22000);
  CHECK(w.log.Count("waves count=2") >= 4);
  CHECK_EQ(w.log.Count("interval interval_ms=5000"), 1);
  const std::vector<Accepted> frames = Frames(w);
  CHECK(frames.size() >= 3 && frames[2].captured - frames[1].captured > 4900);
  CHECK(w.led.changes > 8);
}

TEST(AppFailures) {
  const struct {
    const char* name;
    void (*harm)(World&);
    const char* line;
    int least, most;  // such lines in five minutes
  } rows[] = {
      {"refused", [](World& w) { w.refuse = true; }, "upload failed seq=1 status=0 code=111 why=\"connection refused\"", 1, 1},
      {"status", [](World& w) { w.status = 503; }, "status=503 code=0 why=\"server answered 503\"", 5, 60},
      {"retry after", [](World& w) { w.status = 429, w.headers = "Retry-After: 100\r\n"; }, "retry what=\"upload\" attempt=1 wait_ms=100000", 1, 1},
      {"silence", [](World& w) { w.silent = true; }, "why=\"server does not answer\"", 4, 30},
      {"early answer", [](World& w) { w.status = 413, w.refuse_after = 1000; }, "status=413", 5, 60},
      {"null frames", [](World& w) { w.null_frames = 2; }, "camera error code=-1 why=\"no frame\"", 2, 2},
      {"cut frames", [](World& w) { w.cut_frames = 4; }, "camera error", 0, 0},
      {"many cut frames", [](World& w) { w.cut_frames = 6; }, "camera error code=-1 why=\"frame has no end\"", 1, 1},
      {"no camera", [](World& w) { w.camera_code = 0x105; }, "camera error code=0x105 why=\"ESP_ERR_NOT_FOUND\"", 6, 6},
      {"no network", [](World& w) { w.joinable = false; }, "wifi failed ssid=\"Harbour\" reason=201 why=\"NO_AP_FOUND\"", 5, 40},
      {"no heap", [](World& w) { w.block = 9000; }, "restart why=\"heap\"", 1, 1},
      {"config", [](World& w) { w.store.values.erase("token"); }, "config missing key=\"token\"", 5, 40},
      {"store", [](World& w) { w.store.broken = "no nvs partition"; }, "config unreadable why=\"no nvs partition\"", 5, 40},
  };
  for (const auto& row : rows) {
    test::Trace trace(row.name);
    World w(11);
    row.harm(w);
    w.Run(300000);
    const int n = w.log.Count(row.line);
    if (n < row.least || n > row.most) {
      test::Fail(__FILE__, __LINE__, std::to_string(n) + " lines, last of\n" + w.log.All().substr(0, 4000));
    }
    // Whatever the trouble is, the server is not hammered.
    CHECK(w.connects < 100);
  }
}

// A kept connection that the server gave up costs no frame.
TEST(AppStaleConnection) {
  World w(4);
  w.closes = true;
  w.Run(60000);
  CHECK_EQ(w.log.Count("upload failed"), 0);
  CHECK(Frames(w).size() >= 27);
  CHECK(w.connects >= 27);
}

TEST(AppLinkLost) {
  World w(5);
  w.Run(10000);
  w.reason = 200;
  w.up = false;
  w.Run(20000);
  CHECK_EQ(w.log.Count("wifi lost ssid=\"Harbour\" reason=200 why=\"BEACON_TIMEOUT\""), 1);
  CHECK_EQ(w.log.Count("wifi joined"), 2);
  CHECK(Frames(w).back().at > 15000);
}

TEST(AppImage) {
  World good(6);
  good.pending = true;
  good.Run(10000);
  CHECK(good.confirmed && good.restarts == 0);
  CHECK_EQ(good.log.Count("ota what=\"confirmed\" version=\"1.0.0\" why=\"\""), 1);

  World bad(6);
  bad.pending = true;
  bad.status = 500;
  bad.Run(700000);
  CHECK(!bad.confirmed && bad.rolled_back);
}

TEST(AppConsole) {
  World w(7);
  w.Run(10000);
  w.console = "status\r\nhelp\n\n  \nwho \n" + std::string(500, 'x') + "\nreboot\n";
  w.Run(10100);
  CHECK_EQ(w.log.Count("wifi=\"up\" camera=\"on\" uploads="), 1);
  CHECK_EQ(w.log.Count("help why="), 1);
  CHECK_EQ(w.log.Count("unknown command"), 2);
  CHECK_EQ(w.log.Count("restart why=\"console\""), 1);
}

TEST(AppNotice) {
  World w(8);
  w.Run(10000);
  w.line.Cut(true);
  w.Run(20000);
  CHECK(w.accepted.back().path == "/camera" && w.accepted.back().body == "{\"state\":\"off\"}");
  CHECK(w.accepted.back().at < 10500);
  CHECK_EQ(w.log.Count("notice what=\"camera off\" status=200"), 1);
  const size_t before = w.accepted.size();
  w.line.Cut(false);
  w.Run(26000);
  CHECK(w.accepted.size() > before && w.accepted[before].body == "{\"state\":\"on\"}");
  CHECK_EQ(w.log.Count("camera off"), 2);  // the line and the notice
  CHECK_EQ(w.log.Count("W (") - w.log.Count("camera off"), -1);

  // A server that cannot be reached is told later.
  w.closes = true;
  w.Run(w.now + 4000);
  w.refuse = true;
  w.line.Cut(true);
  w.Run(w.now + 20000);
  CHECK(w.log.Count("retry what=\"notice\"") >= 2);
  w.refuse = false;
  w.Run(w.now + 120000);
  CHECK_EQ(w.accepted.back().body, std::string("{\"state\":\"off\"}"));
}

// The heart of it: over 1,000 seeded runs, with the cut at every call the core
// makes in the course of an upload, no frame captured after the cut is accepted,
// none is taken while the switch is open, and pictures are back within five
// seconds of the release, gray and newer than it.
TEST(ShutoffAtEveryPoint) {
  int in_upload = 0;
  for (uint64_t seed = 0; seed < 1000; seed++) {
    test::Trace trace("seed " + std::to_string(seed));
    World w(seed);
    w.Run(8000 + seed % 7 * 300);
    w.CutAt(1 + static_cast<int>(seed % 100));
    while (w.cut_time == kNever) w.Run(w.now + 1);
    const Time cut = w.cut_time;
    const size_t notices = w.accepted.size();
    if (w.led.on) in_upload++;
    w.Run(cut + 100 + w.rng.Below(9000));
    for (const Accepted& a : w.accepted) {
      if (a.path == "/upload") CHECK(a.captured <= cut);
    }
    CHECK(!w.camera_on && !w.held);
    CHECK_EQ(w.log.Count("camera off"), 1 + w.log.Count("notice what=\"camera off\""));
    (void)notices;
    const size_t before = Frames(w).size();
    w.line.Cut(false);
    const Time release = w.now;
    w.Run(release + 5000);
    const std::vector<Accepted> frames = Frames(w);
    if (frames.size() <= before) {
      test::Fail(__FILE__, __LINE__, "no frame within 5 s\n" + w.log.All());
      continue;
    }
    CHECK(frames[before].at - release <= 5000);
    CHECK(frames[before].gray);
    CHECK(frames[before].captured >= release);
    CHECK_EQ(w.log.Count("camera on"), 1 + w.log.Count("notice what=\"camera on\""));
  }
  CHECK(in_upload > 100);  // many of the cuts struck in the middle of one
}

// The same where the line bounces: the number of edges told stays small, and no
// picture comes from within the bouncing.
TEST(ShutoffBounce) {
  for (uint64_t seed = 0; seed < 200; seed++) {
    test::Trace trace("seed " + std::to_string(seed));
    World w(seed);
    w.Run(9000);
    const Time from = w.now;
    for (int i = 0; i < 30; i++) {
      w.line.Cut(w.rng.Below(2) == 0);
      w.Run(w.now + 1 + w.rng.Below(25));
    }
    w.line.Cut(false);
    const Time until = w.now;
    w.Run(until + 6000);
    bool after = false;
    for (const Accepted& a : Frames(w)) {
      CHECK(a.captured <= from || a.captured >= until || !w.line.off);
      after = after || a.captured > until;
    }
    CHECK(after);
  }
}
