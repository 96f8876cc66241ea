// What a picture must be before it is worth sending.
#pragma once

#include "io.h"

namespace porthole {

constexpr size_t kMinFrame = 600;      // bytes; the OV2640's tables alone are 623 (esp32-wire 4.3)
constexpr size_t kMaxFrame = 1000000;  // the server's limit
constexpr Time kMaxAge = 1000;         // ms from capture to delivery; an older one waited in a queue (esp32-wire 4.6)

// CheckFrame returns nullptr for a picture that starts with SOI, ends with EOI,
// has a likely size and is fresh; else what is wrong with it, in words. No pixel
// is decoded: the server does that.
const char* CheckFrame(const Frame& frame);

}  // namespace porthole
