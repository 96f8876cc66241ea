#include "config.h"

#include "schedule.h"
#include "text.h"

namespace porthole {
namespace {

// Loader reads keys one after the other and keeps whether all were right.
class Loader {
 public:
  Loader(Store& store, ConfigFaults& faults) : store_(store), faults_(faults) {}

  bool ok() const { return ok_; }

  // Text reads a string. A key that is not there is a fault if it is required,
  // else the value is fallback.
  template <size_t N>
  void Text(const char* key, char (&value)[N], const char* fallback) {
    value[0] = 0;
    switch (store_.Text(key, value, N)) {
      case Stored::kFound: Check(key, value); return;
      case Stored::kMissing:
        if (fallback == nullptr) return Missing(key);
        TextBuilder(value, N).Add(fallback);
        return;
      case Stored::kTooLong: return Wrong(key, "is longer than ", N - 1, " bytes");
      case Stored::kWrongType: return Wrong(key, "is not stored as string");
    }
  }

  void Number(const char* key, Stored found, const char* type, uint32_t value, uint32_t low, uint32_t high, bool required) {
    if (found == Stored::kMissing) {
      if (required) Missing(key);
      return;
    }
    if (found != Stored::kFound) return Wrong(key, "is not stored as ", type);
    if (value >= low && value <= high) return;
    ConfigFault fault{key, false, ""};
    TextBuilder(fault.why, sizeof fault.why).Unsigned(value).Add(" is outside ").Unsigned(low).Add("..").Unsigned(high);
    Report(fault);
  }

  void Wrong(const char* key, const char* why, const char* more = "") {
    ConfigFault fault{key, false, ""};
    TextBuilder(fault.why, sizeof fault.why).Add(why).Add(more);
    Report(fault);
  }

 private:
  void Missing(const char* key) { Report(ConfigFault{key, true, ""}); }

  void Wrong(const char* key, const char* why, size_t n, const char* more) {
    ConfigFault fault{key, false, ""};
    TextBuilder(fault.why, sizeof fault.why).Add(why).Unsigned(n).Add(more);
    Report(fault);
  }

  void Report(const ConfigFault& fault) {
    ok_ = false;
    faults_.Fault(fault);
  }

  void Check(const char* key, const char* value);

  Store& store_;
  ConfigFaults& faults_;
  bool ok_ = true;
};

bool HexDigits(const char* s) {
  for (; *s != 0; s++) {
    if (strchr("0123456789abcdefABCDEF", *s) == nullptr) return false;
  }
  return true;
}

// CertificatesOnly wants PEM blocks that are certificates and nothing else: a
// private key that ends up in flash by mistake is refused.
const char* CertificatesOnly(const char* pem) {
  static constexpr char kBegin[] = "-----BEGIN ";
  static constexpr char kWant[] = "CERTIFICATE-----";
  if (*pem == 0) return nullptr;
  int blocks = 0;
  for (const char* p = pem; (p = strstr(p, kBegin)) != nullptr; blocks++) {
    p += sizeof kBegin - 1;
    if (strncmp(p, kWant, sizeof kWant - 1) != 0) return "holds a PEM block that is no certificate";
  }
  return blocks == 0 ? "holds no PEM block" : nullptr;
}

// Why gives what is wrong with the text of a key, or nullptr.
const char* Why(const char* key, const char* v) {
  const size_t n = strlen(v);
  if (strcmp(key, "ssid") == 0) return n == 0 ? "is empty" : nullptr;
  if (strcmp(key, "password") == 0) {
    const bool good = n == 0 || (n >= 8 && n <= 63 && Visible(v, true)) || (n == 64 && HexDigits(v));
    return good ? nullptr : "want 8 to 63 printable characters, 64 hex digits, or nothing";
  }
  if (strcmp(key, "host") == 0) {
    return n > 0 && Visible(v, false) && strpbrk(v, "/\\@?#") == nullptr ? nullptr : "is not a name or an address";
  }
  if (strcmp(key, "path") == 0) return v[0] == '/' && Visible(v, false) ? nullptr : "must start with a slash";
  if (strcmp(key, "token") == 0) return n > 0 && Visible(v, false) ? nullptr : "want 1 to 128 visible characters";
  if (strcmp(key, "ca") == 0) return CertificatesOnly(v);
  if (strcmp(key, "name") == 0) return Visible(v, true) ? nullptr : "want printable characters";
  Crop crop;
  return ParseCrop(v, &crop);
}

void Loader::Check(const char* key, const char* value) {
  if (const char* why = Why(key, value)) Wrong(key, why);
}

}  // namespace

const char* ParseCrop(const char* text, Crop* crop) {
  *crop = Crop();
  if (*text == 0) return nullptr;
  uint16_t* const into[4] = {&crop->w, &crop->h, &crop->x, &crop->y};
  const char* const ends[4] = {"x", "+", "+", ""};
  Crop parsed;
  uint16_t* const fields[4] = {&parsed.w, &parsed.h, &parsed.x, &parsed.y};
  for (int i = 0; i < 4; i++) {
    const size_t n = strspn(text, "0123456789");
    uint64_t value = 0;
    if (!ParseUnsigned(text, n, 65535, &value) || strncmp(text + n, ends[i], 1) != 0) return "want WxH+X+Y";
    *fields[i] = static_cast<uint16_t>(value);
    text += n + (i < 3 ? 1 : 0);
  }
  if (parsed.w < 16 || parsed.h < 8 || parsed.x + parsed.w > 800 || parsed.y + parsed.h > 600) return "is not within 800x600";
  if (parsed.w % 16 != 0 || parsed.h % 8 != 0 || parsed.x % 4 != 0 || parsed.y % 4 != 0) {
    return "width must be a multiple of 16, height of 8, offsets of 4";
  }
  for (int i = 0; i < 4; i++) *into[i] = *fields[i];
  return nullptr;
}

bool LoadConfig(Store& store, Config* c, ConfigFaults& faults) {
  Loader in(store, faults);
  in.Text("ssid", c->ssid, nullptr);
  in.Text("password", c->password, nullptr);
  in.Text("host", c->host, nullptr);
  c->port = 0;
  const Stored port = store.U16("port", &c->port);
  in.Number("port", port, "u16", c->port, 1, 65535, true);
  in.Text("path", c->path, "/upload");
  in.Text("token", c->token, nullptr);
  in.Text("ca", c->ca, nullptr);
  c->interval_ms = static_cast<uint32_t>(kDefaultInterval);
  const Stored interval = store.U32("interval", &c->interval_ms);
  in.Number("interval", interval, "u32", c->interval_ms, kMinInterval, kMaxInterval, false);
  in.Text("crop", c->crop_text, "");
  ParseCrop(c->crop_text, &c->crop);
  in.Text("name", c->name, "");
  return in.ok();
}

}  // namespace porthole
