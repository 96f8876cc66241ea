#include "parts.h"

#include <Arduino.h>
#include <WiFi.h>
#include <esp_heap_caps.h>
#include <esp_ota_ops.h>
#include <esp_system.h>
#include <esp_task_wdt.h>
#include <esp_timer.h>
#include <soc/rtc_cntl_reg.h>
#include <soc/soc.h>

#include "../../core/text.h"
#include "board.h"

#ifndef PORTHOLE_VERSION
#define PORTHOLE_VERSION "0.0.0"
#endif

// The core would call a new image good before setup() runs; the first accepted
// upload is what proves it (esp32-wire 6).
extern "C" bool verifyRollbackLater() { return true; }

namespace porthole {
namespace {

constexpr char kSpace[] = "porthole";
constexpr uint32_t kWatchdogSeconds = 30;  // a handshake may block for long (esp32-wire 6)
constexpr Time kLinkPatience = 20000;      // ms (esp32-wire 3.4)

volatile bool tripped = false;
volatile int reason = 0;

void ARDUINO_ISR_ATTR OnLine(void*) {
  if (digitalRead(kPins.line) == LOW) tripped = true;
}

void OnDisconnect(arduino_event_id_t, arduino_event_info_t info) { reason = info.wifi_sta_disconnected.reason; }

}  // namespace

Time Now() { return static_cast<Time>(esp_timer_get_time()) / 1000; }

BrownoutPause::BrownoutPause() : saved_(READ_PERI_REG(RTC_CNTL_BROWN_OUT_REG)) { WRITE_PERI_REG(RTC_CNTL_BROWN_OUT_REG, 0); }
BrownoutPause::~BrownoutPause() { WRITE_PERI_REG(RTC_CNTL_BROWN_OUT_REG, saved_); }

uint32_t BoardRandom::Next() { return esp_random(); }

void BoardSwitch::Begin() {
  pinMode(kPins.line, INPUT_PULLUP);  // beside the 10 k of the circuit
  attachInterruptArg(digitalPinToInterrupt(kPins.line), OnLine, nullptr, CHANGE);
}

bool BoardSwitch::Off() { return digitalRead(kPins.line) == LOW; }

bool BoardSwitch::Tripped() {
  const bool was = tripped;
  tripped = false;
  return was;
}

void BoardLed::Begin() {
  pinMode(kPins.led, OUTPUT);
  Set(false);
}

void BoardLed::Set(bool on) { digitalWrite(kPins.led, on != kPins.led_low ? HIGH : LOW); }

void SerialLog::Line(const char* text, size_t size) {
  Serial.write(reinterpret_cast<const uint8_t*>(text), size);
  Serial.write(reinterpret_cast<const uint8_t*>("\r\n"), 2);
}

const char* FlashStore::Open() {
  preferences_.end();
  // A partition without the namespace is readable and lacks every key.
  preferences_.begin(kSpace, true);
  return nullptr;
}

Stored FlashStore::Check(const char* key, PreferenceType type) {
  const PreferenceType found = preferences_.getType(key);
  if (found == PT_INVALID) return Stored::kMissing;
  return found == type ? Stored::kFound : Stored::kWrongType;
}

Stored FlashStore::Text(const char* key, char* buffer, size_t cap) {
  const Stored s = Check(key, PT_STR);
  if (s != Stored::kFound) return s;
  // It copies nothing and returns 0 when the buffer is too small; with its NUL the
  // shortest text is 1.
  return preferences_.getString(key, buffer, cap) == 0 ? Stored::kTooLong : Stored::kFound;
}

Stored FlashStore::U16(const char* key, uint16_t* value) {
  const Stored s = Check(key, PT_U16);
  if (s == Stored::kFound) *value = preferences_.getUShort(key, 0);
  return s;
}

Stored FlashStore::U32(const char* key, uint32_t* value) {
  const Stored s = Check(key, PT_U32);
  if (s == Stored::kFound) *value = preferences_.getUInt(key, 0);
  return s;
}

void BoardRadio::Begin() {
  WiFi.persistent(false);
  WiFi.mode(WIFI_STA);
  WiFi.setAutoReconnect(true);
  WiFi.setSleep(WIFI_PS_NONE);
  WiFi.onEvent(OnDisconnect, ARDUINO_EVENT_WIFI_STA_DISCONNECTED);
}

Io BoardRadio::Join(const char* ssid, const char* password, Link* link) {
  if (!joining_) {
    joining_ = true;
    reason = 0;
    const BrownoutPause pause;
    WiFi.begin(ssid, password[0] == 0 ? nullptr : password);
  }
  if (WiFi.status() == WL_CONNECTED) {
    joining_ = false;
    const IPAddress ip = WiFi.localIP();
    TextBuilder text(link->ip, sizeof link->ip);
    text.Unsigned(ip[0]).Add('.').Unsigned(ip[1]).Add('.').Unsigned(ip[2]).Add('.').Unsigned(ip[3]);
    link->rssi = WiFi.RSSI();
    link->channel = WiFi.channel();
    return Io::kDone;
  }
  if (reason == 0) return Io::kPending;
  joining_ = false;
  return Io::kFailed;
}

bool BoardRadio::Up() {
  if (WiFi.status() == WL_CONNECTED) {
    gone_since_ = 0;
    return true;
  }
  if (gone_since_ == 0) gone_since_ = Now();
  return Now() - gone_since_ < kLinkPatience;
}

int BoardRadio::Reason() { return reason; }

void BoardRadio::Leave() {
  joining_ = false;
  gone_since_ = 0;
  WiFi.disconnect();  // never with true: that would switch the radio off (esp32-wire 3.4)
}

void BoardSystem::Begin() {
#if ESP_ARDUINO_VERSION_MAJOR >= 3
  const esp_task_wdt_config_t config = {kWatchdogSeconds * 1000, 0, true};
  esp_task_wdt_reconfigure(&config);
#else
  esp_task_wdt_init(kWatchdogSeconds, true);
#endif
  esp_task_wdt_add(nullptr);
  esp_ota_img_states_t state = ESP_OTA_IMG_UNDEFINED;
  pending_ = esp_ota_get_state_partition(esp_ota_get_running_partition(), &state) == ESP_OK && state == ESP_OTA_IMG_PENDING_VERIFY;
}

const char* BoardSystem::Version() { return PORTHOLE_VERSION; }

const char* BoardSystem::ResetReason() {
  switch (esp_reset_reason()) {
    case ESP_RST_POWERON: return "poweron";
    case ESP_RST_EXT: return "external";
    case ESP_RST_SW: return "software";
    case ESP_RST_PANIC: return "panic";
    case ESP_RST_INT_WDT:
    case ESP_RST_TASK_WDT:
    case ESP_RST_WDT: return "watchdog";
    case ESP_RST_DEEPSLEEP: return "deepsleep";
    case ESP_RST_BROWNOUT: return "brownout";
    case ESP_RST_SDIO: return "sdio";
    default: return "unknown";
  }
}

uint32_t BoardSystem::FreeHeap() { return static_cast<uint32_t>(heap_caps_get_free_size(MALLOC_CAP_INTERNAL)); }
uint32_t BoardSystem::LargestBlock() { return static_cast<uint32_t>(heap_caps_get_largest_free_block(MALLOC_CAP_INTERNAL)); }
uint32_t BoardSystem::FreePsram() { return static_cast<uint32_t>(heap_caps_get_free_size(MALLOC_CAP_SPIRAM)); }
void BoardSystem::FeedWatchdog() { esp_task_wdt_reset(); }
bool BoardSystem::ImagePending() { return pending_; }

bool BoardSystem::ConfirmImage() {
  pending_ = false;
  return esp_ota_mark_app_valid_cancel_rollback() == ESP_OK;
}

void BoardSystem::Restart(bool rollback) {
  Serial.flush();
  if (rollback) esp_ota_mark_app_invalid_rollback_and_reboot();
  ESP.restart();
}

}  // namespace porthole
