#include "fake.h"

#include <stdlib.h>

using namespace porthole;

World::World(uint64_t seed, Settings settings) : random(seed), rng(seed + 1) {
  app.reset(new App({random, *this, *this, line, led, store, log, *this, *this}, settings));
}

void World::Run(Time until) {
  if (log.lines.empty()) app->Start(now);
  while (now < until) {
    for (char c : console) app->Input(c, now);
    console.clear();
    const Time next = app->Step(now);
    Time step = next <= now ? 1 : next - now;
    if (app->camera_on() || open) step = step > 5 ? 5 : step;  // the socket or the switch may wake it
    if (step > 50) step = 50;
    now += step;
  }
}

// Tick lets time pass in a call, and cuts when its turn has come.
void World::Tick(Time most) {
  if (cut_in > 0 && --cut_in == 0) {
    cut_time = now;
    line.Cut(true);
  }
  if (most > 0) now += rng.Below(most);
}

Io World::Connect(const Endpoint&) {
  Tick(3);
  if (connect_left == 0) {
    connects++;
    if (refuse) return Io::kFailed;
    connect_left = 1 + static_cast<int>(rng.Below(8));
  }
  if (--connect_left > 0) return Io::kPending;
  open = true;
  in.clear(), out.clear();
  reset_idle = false;
  return Io::kDone;
}

Io World::Send(Bytes record) {
  Tick(4);
  if (!open || reset_idle) return Io::kFailed;
  pending_send = !pending_send && rng.Below(3) == 0;
  if (pending_send) return Io::kPending;
  in.append(reinterpret_cast<const char*>(record.data), record.size);
  Request();
  return Io::kDone;
}

// Request answers when a whole request is there.
void World::Request() {
  const size_t head = in.find("\r\n\r\n");
  if (head == std::string::npos || !out.empty()) return;
  const size_t length = strtoul(in.c_str() + in.find("Content-Length: ") + 16, nullptr, 10);
  const bool early = refuse_after > 0 && in.size() >= refuse_after;
  if (!early && in.size() < head + 4 + length) return;
  if (silent) {
    in.clear();
    return;
  }
  Accepted a;
  a.at = now;
  a.path = in.substr(5, in.find(' ', 5) - 5);
  a.body = in.substr(head + 4);
  const size_t image = a.body.find("\xFF\xD8");
  if (image != std::string::npos) {
    memcpy(&a.captured, a.body.data() + image + 2, sizeof a.captured);
    a.gray = a.body[image + 10] == 'g';
  }
  if (!early && status / 100 == 2) accepted.push_back(a);
  const std::string body = a.path.find("camera") != std::string::npos ? "" : reply;
  out = "HTTP/1.1 " + std::to_string(status) + " X\r\n" + headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  in.clear();
  answer_at = now + rng.Below(60);
}

Io World::Receive(uint8_t* buffer, size_t cap, size_t* got) {
  Tick(0);
  *got = 0;
  if (!open) return Io::kFailed;
  if (reset_idle) return Io::kDone;
  if (out.empty() || now < answer_at) return Io::kPending;
  *got = out.size() < cap ? out.size() : cap;
  memcpy(buffer, out.data(), *got);
  out.erase(0, *got);
  if (out.empty() && closes) reset_idle = true;
  return Io::kDone;
}

void World::Close() {
  open = false;
  connect_left = 0;
  in.clear(), out.clear();
}

Failure World::LastFailure() { return {111, "connection refused"}; }

int World::Start(const Crop&) {
  Tick(20);
  starts++;
  since_start = 0;
  camera_on = camera_code == 0;
  return camera_code;
}

// Capture gives a picture with its time of capture inside. The first two after a
// start are in colour and were taken before it (esp32-wire 1.6, 4.6).
bool World::Capture(Frame* frame) {
  Tick(0);
  CHECK(camera_on && !held);
  if (null_frames > 0 && null_frames-- > 0) return false;
  const bool early = since_start++ < 2;
  const Time captured = now;
  now += 20 + rng.Below(60);
  Tick(0);  // the switch may also open while the sensor delivers
  picture.assign(2000 + rng.Below(9000), 'x');
  picture[0] = 0xFF, picture[1] = 0xD8;
  memcpy(&picture[2], &captured, sizeof captured);
  picture[10] = early ? 'c' : 'g';
  picture[picture.size() - 2] = 0xFF, picture[picture.size() - 1] = 0xD9;
  if (cut_frames > 0 && !early && cut_frames-- > 0) picture.resize(picture.size() / 2);
  frame->jpeg = {picture.data(), picture.size()};
  frame->captured = captured;
  frame->delivered = now;
  held = true;
  return true;
}

void World::Release() {
  Tick(0);
  CHECK(held);
  held = false;
  picture.clear();  // whoever still reads it is found by the sanitizers
  picture.shrink_to_fit();
}

void World::Stop() {
  Tick(0);
  CHECK(camera_on && !held);
  camera_on = false;
}

Io World::Join(const char*, const char*, Link* link) {
  if (joined_at == 0) joined_at = now + 1200;
  if (now < joined_at) return Io::kPending;
  joined_at = 0;
  if (!joinable) return Io::kFailed;
  up = true;
  TextBuilder(link->ip, sizeof link->ip).Add("192.168.4.20");
  link->rssi = -58, link->channel = 6;
  return Io::kDone;
}
