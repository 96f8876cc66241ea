#include "jpeg.h"

namespace porthole {

const char* CheckFrame(const Frame& frame) {
  const Bytes& j = frame.jpeg;
  if (j.size < kMinFrame) return "frame is too small";
  if (j.size > kMaxFrame) return "frame is too large";
  if (j.data[0] != 0xFF || j.data[1] != 0xD8) return "frame has no start";
  if (j.data[j.size - 2] != 0xFF || j.data[j.size - 1] != 0xD9) return "frame has no end";
  if (frame.captured > frame.delivered) return "frame is from the future";
  if (frame.delivered - frame.captured > kMaxAge) return "frame is stale";
  return nullptr;
}

}  // namespace porthole
