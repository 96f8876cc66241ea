// The reader of an NVS partition image: the bytes that are flashed to a board
// are what porthole-fw is configured with. The format is described in
// internal/nvs, whose rules this follows (esp32-serial 6).
#pragma once

#include <stdint.h>

#include <string>
#include <vector>

namespace porthole {

// NvsValue is one value: a string, or an unsigned integer and its size.
struct NvsValue {
  enum class Type : uint8_t { kU8 = 0x01, kU16 = 0x02, kU32 = 0x04, kString = 0x21, kOther = 0xFF };
  Type type = Type::kOther;
  uint32_t number = 0;
  std::string text;
};

// NvsImage is the content of a partition. Damaged entries and pages are left
// out, as the board's library skips them.
class NvsImage {
 public:
  // Parse returns nullptr, or why the board's library would refuse the image.
  const char* Parse(const std::string& image);
  // Find gives a value, or nullptr. It lives until the next Parse.
  const NvsValue* Find(const std::string& space, const std::string& key) const;

 private:
  struct Item {
    uint8_t space;
    std::string key;
    NvsValue value;
  };
  struct Page;
  void Read(const Page& page);

  std::vector<std::pair<std::string, uint8_t>> spaces_;
  std::vector<Item> items_;
};

}  // namespace porthole
