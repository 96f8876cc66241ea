#include "parts.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "../../core/text.h"

namespace porthole {
namespace {

constexpr char kSpace[] = "porthole";

// Where the Arduino core's default table has the partition (esp32-serial 5.2).
constexpr size_t kOffset = 0x9000, kSize = 0x5000;
constexpr size_t kFlash = 1 << 20;  // an image from this size on is a whole flash

Time Monotonic() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<Time>(t.tv_sec) * 1000 + static_cast<Time>(t.tv_nsec) / 1000000;
}

}  // namespace

Time Now() {
  static const Time start = Monotonic();
  return Monotonic() - start;
}

uint32_t KernelRandom::Next() {
  uint32_t n = 0;
  while (getrandom(&n, sizeof n, 0) != sizeof n) {
  }
  return n;
}

volatile sig_atomic_t HostSwitch::off = 0;
volatile sig_atomic_t HostSwitch::tripped = 0;

bool HostSwitch::Off() {
  if (file_.empty()) return off != 0;
  char word[4] = "";
  const int fd = open(file_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t n = read(fd, word, 3);
  close(fd);
  return n == 3 && memcmp(word, "off", 3) == 0;
}

bool HostSwitch::Tripped() {
  const bool was = tripped != 0;
  tripped = 0;
  return was;
}

void StdoutLog::Line(const char* text, size_t size) {
  const char* color = !color_ || size < 2 || text[1] != ' ' ? nullptr
                      : text[0] == 'I'                      ? "\x1b[0;32m"
                      : text[0] == 'W'                      ? "\x1b[0;33m"
                                                            : "\x1b[0;31m";
  printf("%s%.*s%s\r\n", color == nullptr ? "" : color, static_cast<int>(size), text, color == nullptr ? "" : "\x1b[0m");
  fflush(stdout);
}

void HostLed::Set(bool on) {
  if (print_) fprintf(stderr, "%llu led %s\n", static_cast<unsigned long long>(Now()), on ? "on" : "off");
}

const char* ImageStore::Open() {
  FILE* f = fopen(file_.c_str(), "rb");
  if (f == nullptr) return "no nvs partition";
  std::string image;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0 && image.size() <= (16u << 20);) image.append(buffer, n);
  fclose(f);
  if (image.size() >= kFlash) image = image.substr(kOffset, kSize);
  return image_.Parse(image);
}

Stored ImageStore::Text(const char* key, char* buffer, size_t cap) {
  const NvsValue* v = image_.Find(kSpace, key);
  if (v == nullptr) return Stored::kMissing;
  if (v->type != NvsValue::Type::kString) return Stored::kWrongType;
  if (v->text.size() >= cap) return Stored::kTooLong;
  memcpy(buffer, v->text.c_str(), v->text.size() + 1);
  return Stored::kFound;
}

Stored ImageStore::Number(const char* key, NvsValue::Type type, uint32_t* value) {
  const NvsValue* v = image_.Find(kSpace, key);
  if (v == nullptr) return Stored::kMissing;
  if (v->type != type) return Stored::kWrongType;
  *value = v->number;
  return Stored::kFound;
}

Stored ImageStore::U16(const char* key, uint16_t* value) {
  uint32_t n = 0;
  const Stored s = Number(key, NvsValue::Type::kU16, &n);
  if (s == Stored::kFound) *value = static_cast<uint16_t>(n);
  return s;
}

Stored ImageStore::U32(const char* key, uint32_t* value) { return Number(key, NvsValue::Type::kU32, value); }

Io HostRadio::Join(const char*, const char*, Link* link) {
  TextBuilder(link->ip, sizeof link->ip).Add("127.0.0.1");
  link->rssi = -58;
  link->channel = 6;
  return Io::kDone;
}

}  // namespace porthole
