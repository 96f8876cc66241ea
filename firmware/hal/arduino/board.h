// Pin maps of the boards (esp32-wire 5.1). Choose one with -DPORTHOLE_BOARD_…, as
// the environments of platformio.ini do.
#pragma once

#include <stdint.h>

namespace porthole {

// Pins are GPIO numbers; -1 is not connected.
struct Pins {
  const char* name;
  int8_t pwdn, reset, xclk, sda, scl;
  int8_t d7, d6, d5, d4, d3, d2, d1, d0;  // Y9 to Y2
  int8_t vsync, href, pclk;
  int8_t led;
  bool led_low;  // lit by a low level
  int8_t line;   // sense line of the shutoff: low is "camera off"
};

// The WROVER-KIT. Its shutoff senses GPIO14, free while JTAG and SD are not used.
constexpr Pins kWroverKit = {"WROVER-KIT", -1, -1, 21, 26, 27, 35, 34, 39, 36, 19, 18, 5, 4, 25, 23, 22, 2, false, 14};

// Boards of Freenove's kind have the same map, with GPIO33 free for the shutoff.
constexpr Pins kFreenove = {"Freenove ESP32-WROVER", -1, -1, 21, 26, 27, 35, 34, 39, 36, 19, 18, 5, 4, 25, 23, 22, 2, false, 33};

// The AI-Thinker ESP32-CAM: GPIO32 switches the sensor's supply, high is off; the
// red light on GPIO33 is lit by low; GPIO14 is free while no card is in.
constexpr Pins kAiThinker = {"AI-Thinker ESP32-CAM", 32, -1, 0, 26, 27, 35, 34, 39, 36, 21, 19, 18, 5, 25, 23, 22, 33, true, 14};

#if defined(PORTHOLE_BOARD_AI_THINKER)
constexpr Pins kPins = kAiThinker;
#elif defined(PORTHOLE_BOARD_FREENOVE)
constexpr Pins kPins = kFreenove;
#else
constexpr Pins kPins = kWroverKit;
#endif

}  // namespace porthole
