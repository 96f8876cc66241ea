// The OV2640 behind Espressif's driver.
#pragma once

#include <esp_camera.h>

#include "../../core/io.h"

namespace porthole {

class BoardCamera : public Camera {
 public:
  int Start(const Crop& crop) override;
  Time StartTime() override { return start_time_; }
  bool Capture(Frame* frame) override;
  void Release() override;
  void Stop() override;

 private:
  camera_fb_t* held_ = nullptr;
  Time start_time_ = 0;
};

}  // namespace porthole
