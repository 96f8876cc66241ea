#include "camera.h"

#include <Arduino.h>

#include "board.h"
#include "parts.h"

namespace porthole {
namespace {

constexpr int kXclk = 20000000;  // Hz (esp32-wire 4.7)
constexpr int kQuality = 12;     // of the sensor: about IJG 62 (esp32-wire 4.4)
constexpr int kGray = 2;         // special effect (esp32-wire 4.5)
constexpr int kModeSvga = 1;     // of the sensor's windowing (esp32-wire 4.8)

}  // namespace

int BoardCamera::Start(const Crop& crop) {
  const Time began = Now();
  camera_config_t config = {};  // stack garbage in here is what the old sketch suffers from (esp32-wire 1.6)
  config.pin_pwdn = kPins.pwdn;
  config.pin_reset = kPins.reset;
  config.pin_xclk = kPins.xclk;
  config.pin_sccb_sda = kPins.sda;
  config.pin_sccb_scl = kPins.scl;
  config.pin_d7 = kPins.d7;
  config.pin_d6 = kPins.d6;
  config.pin_d5 = kPins.d5;
  config.pin_d4 = kPins.d4;
  config.pin_d3 = kPins.d3;
  config.pin_d2 = kPins.d2;
  config.pin_d1 = kPins.d1;
  config.pin_d0 = kPins.d0;
  config.pin_vsync = kPins.vsync;
  config.pin_href = kPins.href;
  config.pin_pclk = kPins.pclk;
  config.xclk_freq_hz = kXclk;
  config.ledc_timer = LEDC_TIMER_0;
  config.ledc_channel = LEDC_CHANNEL_0;
  config.pixel_format = PIXFORMAT_JPEG;
  config.frame_size = FRAMESIZE_SVGA;
  config.jpeg_quality = kQuality;
  const bool psram = psramFound();
  config.fb_location = psram ? CAMERA_FB_IN_PSRAM : CAMERA_FB_IN_DRAM;
  config.fb_count = psram ? 2 : 1;
  // The newest picture, not the oldest in the queue; it needs two buffers.
  config.grab_mode = psram ? CAMERA_GRAB_LATEST : CAMERA_GRAB_WHEN_EMPTY;
  const BrownoutPause pause;  // the sensor's start is what a weak supply sags under
  const esp_err_t err = esp_camera_init(&config);
  if (err != ESP_OK) return static_cast<int>(err);
  sensor_t* sensor = esp_camera_sensor_get();
  if (sensor == nullptr) {
    esp_camera_deinit();
    return ESP_FAIL;
  }
  sensor->set_special_effect(sensor, kGray);
  if (!crop.Whole()) {
    sensor->set_res_raw(sensor, kModeSvga, 0, 0, 0, crop.x, crop.y, crop.w, crop.h, crop.w, crop.h, false, false);
  }
  start_time_ = Now() - began;
  return 0;
}

bool BoardCamera::Capture(Frame* frame) {
  held_ = esp_camera_fb_get();  // waits four seconds at most (esp32-wire 4.7)
  if (held_ == nullptr) return false;
  frame->jpeg = {held_->buf, held_->len};
  frame->captured = static_cast<Time>(held_->timestamp.tv_sec) * 1000 + static_cast<Time>(held_->timestamp.tv_usec) / 1000;
  frame->delivered = Now();
  return true;
}

void BoardCamera::Release() {
  if (held_ != nullptr) esp_camera_fb_return(held_);
  held_ = nullptr;
}

void BoardCamera::Stop() {
  Release();
  esp_camera_deinit();
  // The driver does not power the sensor down by itself (esp32-wire 5.2).
  if (kPins.pwdn >= 0) {
    pinMode(kPins.pwdn, OUTPUT);
    digitalWrite(kPins.pwdn, HIGH);
  }
}

}  // namespace porthole
