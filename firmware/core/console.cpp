#include "console.h"

namespace porthole {

ConsoleLine::ConsoleLine(char level, Time now, const char* kind) {
  text_.Add(level).Add(" (").Unsigned(now).Add(") porthole: ").Add(kind);
}

ConsoleLine& ConsoleLine::Name(const char* name) {
  text_.Add(' ').Add(name).Add('=');
  return *this;
}

ConsoleLine& ConsoleLine::Number(const char* name, int64_t value) {
  Name(name);
  text_.Signed(value);
  return *this;
}

ConsoleLine& ConsoleLine::Unsigned(const char* name, uint64_t value) {
  Name(name);
  text_.Unsigned(value);
  return *this;
}

ConsoleLine& ConsoleLine::Code(const char* name, int value) {
  if (value <= 0) return Number(name, value);
  Name(name);
  text_.Add("0x").Hex(static_cast<uint32_t>(value));
  return *this;
}

ConsoleLine& ConsoleLine::Text(const char* name, const char* value) {
  Name(name);
  text_.Add('"');
  for (; *value != 0; value++) {
    const unsigned char c = static_cast<unsigned char>(*value);
    if (c >= 0x20 && c <= 0x7E && c != '"' && c != '\\') {
      text_.Add(*value);
    } else {
      text_.Add("\\x").Add("0123456789abcdef"[c >> 4]).Add("0123456789abcdef"[c & 15]);
    }
  }
  text_.Add('"');
  return *this;
}

const char* CameraErrorName(int code) {
  switch (code) {
    case 0x101: return "ESP_ERR_NO_MEM";
    case 0x105: return "ESP_ERR_NOT_FOUND";
    case 0x106: return "ESP_ERR_NOT_SUPPORTED";
    case -1: return "ESP_FAIL";
    default: return "camera driver";
  }
}

const char* WiFiReasonName(int reason) {
  switch (reason) {
    case 2: return "AUTH_EXPIRE";
    case 8: return "ASSOC_LEAVE";
    case 15: return "4WAY_HANDSHAKE_TIMEOUT";
    case 200: return "BEACON_TIMEOUT";
    case 201: return "NO_AP_FOUND";
    case 202: return "AUTH_FAIL";
    default: return "other";
  }
}

}  // namespace porthole
