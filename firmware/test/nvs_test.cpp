// The reader of NVS images: the worked example of the format, and damage.
#include "../hal/posix/nvs.h"

#include <stdlib.h>

#include "test.h"

using porthole::NvsImage;
using porthole::NvsValue;

namespace {

// Example is the partition that the vendor's generator makes of ssid="TestNet",
// port u16 8443, magic u32 0xDEADBEEF in namespace "harness" (esp32-serial 6).
std::string Example() {
  static const char* const kRows[] = {
      "feffffff00000000feffffffffffffffffffffffffffffffffffffff842dbab9",
      "aafeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
      "000101ff2537bfdb6861726e65737300000000000000000001ffffffffffffff",
      "012102ffc313b6cf737369640000000000000000000000000800ffffd6c27d08",
      "546573744e657400ffffffffffffffffffffffffffffffffffffffffffffffff",
      "010201ff5aba816c706f7274000000000000000000000000fb20ffffffffffff",
      "010401ff2b6fe9036d616769630000000000000000000000efbeaddeffffffff",
  };
  std::string image;
  for (const char* row : kRows) {
    for (size_t i = 0; row[i] != 0; i += 2) image += static_cast<char>(strtoul(std::string(row + i, 2).c_str(), nullptr, 16));
  }
  image.resize(0x6000, static_cast<char>(0xFF));
  return image;
}

}  // namespace

TEST(NvsExample) {
  NvsImage nvs;
  CHECK_EQ(nvs.Parse(Example()) == nullptr, true);
  const NvsValue* ssid = nvs.Find("harness", "ssid");
  CHECK(ssid != nullptr && ssid->type == NvsValue::Type::kString && ssid->text == "TestNet");
  const NvsValue* port = nvs.Find("harness", "port");
  CHECK(port != nullptr && port->type == NvsValue::Type::kU16 && port->number == 8443);
  const NvsValue* magic = nvs.Find("harness", "magic");
  CHECK(magic != nullptr && magic->type == NvsValue::Type::kU32 && magic->number == 0xDEADBEEF);
  CHECK(nvs.Find("harness", "none") == nullptr);
  CHECK(nvs.Find("other", "ssid") == nullptr);
}

TEST(NvsRefuses) {
  NvsImage nvs;
  CHECK_EQ(std::string(nvs.Parse("")), std::string("not a whole number of pages"));
  CHECK_EQ(std::string(nvs.Parse(std::string(4097, 'x'))), std::string("not a whole number of pages"));
  CHECK(nvs.Parse(std::string(0x3000, '\xFF')) == nullptr);
  CHECK_EQ(std::string(nvs.Parse(Example().substr(0, 4096))), std::string("no free page"));
}

// One flipped bit loses one value and invents none.
TEST(NvsDamage) {
  const std::string good = Example();
  for (size_t bit = 0; bit < 224 * 8; bit++) {
    std::string image = good;
    image[bit / 8] = static_cast<char>(image[bit / 8] ^ 1 << bit % 8);
    NvsImage nvs;
    nvs.Parse(image);
    const NvsValue* ssid = nvs.Find("harness", "ssid");
    CHECK(ssid == nullptr || ssid->type != NvsValue::Type::kString || ssid->text == "TestNet");
    const NvsValue* port = nvs.Find("harness", "port");
    CHECK(port == nullptr || port->number == 8443);
  }
}

TEST(NvsNoise) {
  const std::string good = Example();
  for (uint64_t seed = 0; seed < 3000; seed++) {
    test::Rng rng(seed);
    std::string image = good;
    for (uint64_t n = rng.Below(40); n > 0; n--) image[rng.Below(600)] = static_cast<char>(rng.Next());
    if (rng.Below(3) == 0) image.replace(4096 * (1 + rng.Below(4)), 4096, good.substr(0, 4096));
    NvsImage nvs;
    nvs.Parse(image);
    nvs.Find("harness", "ssid");
  }
}
