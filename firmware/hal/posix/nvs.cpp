#include "nvs.h"

#include <string.h>

#include <algorithm>

namespace porthole {
namespace {

constexpr size_t kPage = 4096, kEntry = 32, kEntries = 126, kTable = 32, kFirst = 64;
constexpr size_t kMaxData = kEntry * (kEntries - 1);
constexpr uint32_t kEmpty = 0xFFFFFFFF, kActive = 0xFFFFFFFE, kFull = 0xFFFFFFFC, kFreeing = 0xFFFFFFF8;
constexpr uint8_t kVersion2 = 0xFE;
constexpr int kWritten = 2, kUnused = 3;

uint32_t Load32(const uint8_t* p) {
  return static_cast<uint32_t>(p[0]) | static_cast<uint32_t>(p[1]) << 8 | static_cast<uint32_t>(p[2]) << 16 |
         static_cast<uint32_t>(p[3]) << 24;
}

uint32_t Load16(const uint8_t* p) { return static_cast<uint32_t>(p[0]) | static_cast<uint32_t>(p[1]) << 8; }

// Crc continues the usual CRC-32; all of the format's begin at 0xFFFFFFFF as the
// library's function is called, which is 0 inside.
uint32_t Crc(uint32_t crc, const uint8_t* p, size_t n) {
  for (size_t i = 0; i < n; i++) {
    crc ^= p[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xEDB88320u : 0u);
  }
  return crc;
}

uint32_t Finish(uint32_t crc) { return ~crc; }

bool IsVariable(uint8_t type) { return type == 0x21 || type == 0x41 || type == 0x42; }

}  // namespace

// Page is one sector in use, and the entries that start something valid.
struct NvsImage::Page {
  const uint8_t* bytes;
  uint32_t state, sequence;
  std::vector<size_t> live;

  const uint8_t* At(size_t i) const { return bytes + kFirst + i * kEntry; }
  int State(size_t i) const { return bytes[kTable + i / 4] >> (i % 4 * 2) & 3; }
  std::string Key(size_t i) const {
    const char* key = reinterpret_cast<const char*>(At(i) + 8);
    return std::string(key, strnlen(key, 16));
  }
  bool Same(size_t i, const Page& other, size_t j) const {
    return At(i)[0] == other.At(j)[0] && At(i)[3] == other.At(j)[3] && Key(i) == other.Key(j);
  }

  bool Sound(size_t i) const {
    const uint8_t* e = At(i);
    return Finish(Crc(Crc(0, e, 4), e + 8, 24)) == Load32(e + 4);
  }

  // Scan finds the valid items.
  void Scan() {
    size_t end = kEntries;
    for (size_t i = 0; state == kActive && i < kEntries; i++) {
      if (State(i) == kUnused) {
        end = i;  // behind the first unused entry nothing counts
        break;
      }
    }
    for (size_t i = 0; i < end;) {
      if (State(i) != kWritten || !Sound(i)) {
        i++;
        continue;
      }
      size_t span = 1;
      const bool good = Check(i, &span);
      if (good) {
        if (state == kActive) DropOlder(i);
        live.push_back(i);
      }
      i += span;
    }
  }

  // Check looks at the shape of the item at i.
  bool Check(size_t i, size_t* span) const {
    const uint8_t* e = At(i);
    if (!IsVariable(e[1])) return e[2] == 1;
    const size_t size = Load16(e + 24);
    if (size > kMaxData || e[2] != 1 + (size + kEntry - 1) / kEntry || i + e[2] > kEntries) return false;
    *span = e[2];
    for (size_t j = i + 1; j < i + e[2]; j++) {
      if (State(j) != kWritten) return false;
    }
    return true;
  }

  // DropOlder removes an earlier item of the same key: what remains when the power
  // went between writing the new one and crossing the old one out.
  void DropOlder(size_t i) {
    for (size_t k = 0; k < live.size(); k++) {
      if (Same(live[k], *this, i)) {
        live.erase(live.begin() + static_cast<std::ptrdiff_t>(k));
        return;
      }
    }
  }
};

const char* NvsImage::Parse(const std::string& image) {
  spaces_.clear();
  items_.clear();
  if (image.empty() || image.size() % kPage != 0) return "not a whole number of pages";
  std::vector<Page> pages;
  size_t free = 0;
  for (size_t at = 0; at < image.size(); at += kPage) {
    const uint8_t* b = reinterpret_cast<const uint8_t*>(image.data()) + at;
    Page page{b, Load32(b), Load32(b + 4), {}};
    const bool known = page.state == kActive || page.state == kFull || page.state == kFreeing;
    if (page.state == kEmpty || Finish(Crc(0, b + 4, 24)) != Load32(b + 28)) {
      free++;
      continue;
    }
    if (b[8] < kVersion2) return "made for a newer version";  // versions count downwards
    if (!known) {
      free++;
      continue;
    }
    page.Scan();
    pages.push_back(page);
  }
  std::stable_sort(pages.begin(), pages.end(), [](const Page& p, const Page& q) { return p.sequence < q.sequence; });
  // The very last item wins over one of the same key and type in the pages before.
  if (!pages.empty() && !pages.back().live.empty()) {
    const Page& last = pages.back();
    const size_t i = last.live.back();
    bool dropped = false;
    for (size_t p = 0; p + 1 < pages.size() && !dropped; p++) {
      Page& page = pages[p];
      if (page.state == kFreeing) continue;
      for (size_t k = 0; k < page.live.size(); k++) {
        if (page.Same(page.live[k], last, i) && page.At(page.live[k])[1] == last.At(i)[1]) {
          page.live.erase(page.live.begin() + static_cast<std::ptrdiff_t>(k));
          dropped = true;
          break;
        }
      }
    }
  }
  // A move of one page to another that the power cut short: the half-made copy is
  // dropped and the old page read instead.
  const auto moving = std::find_if(pages.begin(), pages.end(), [](const Page& p) { return p.state == kFreeing; });
  if (moving != pages.end()) {
    const Page page = *moving;
    pages.erase(moving);
    if (!pages.empty() && pages.back().state == kActive) {
      pages.pop_back();
      free++;
    }
    pages.push_back(page);
  }
  for (const Page& page : pages) {
    for (size_t i : page.live) {
      const uint8_t* e = page.At(i);
      if (e[0] != 0 || e[1] != 0x01) continue;
      const std::string name = page.Key(i);
      const uint8_t index = e[24];
      const bool taken = std::any_of(spaces_.begin(), spaces_.end(),
                                     [&](const auto& s) { return s.first == name || s.second == index; });
      if (!name.empty() && index != 0 && index != 0xFF && !taken) spaces_.emplace_back(name, index);
    }
  }
  for (const Page& page : pages) Read(page);
  if (!pages.empty() && free == 0) return "no free page";
  return nullptr;
}

// Read takes the values of a page; of one key the first in page order wins, also
// where it is damaged.
void NvsImage::Read(const Page& page) {
  for (size_t i : page.live) {
    const uint8_t* e = page.At(i);
    if (e[0] == 0 || e[1] == 0x42) continue;  // names, and chunks, which nothing here needs
    Item item{e[0], page.Key(i), {}};
    const bool seen = std::any_of(items_.begin(), items_.end(),
                                  [&](const Item& it) { return it.space == item.space && it.key == item.key; });
    if (seen || item.key.empty()) continue;
    switch (e[1]) {
      case 0x01: item.value = {NvsValue::Type::kU8, e[24], ""}; break;
      case 0x02: item.value = {NvsValue::Type::kU16, Load16(e + 24), ""}; break;
      case 0x04: item.value = {NvsValue::Type::kU32, Load32(e + 24), ""}; break;
      case 0x21: {
        const size_t size = Load16(e + 24);
        const uint8_t* data = page.At(i + 1);
        if (Finish(Crc(0, data, size)) == Load32(e + 28)) {
          const char* text = reinterpret_cast<const char*>(data);
          item.value = {NvsValue::Type::kString, 0, std::string(text, strnlen(text, size))};
        }
        break;
      }
      default: break;
    }
    items_.push_back(item);
  }
}

const NvsValue* NvsImage::Find(const std::string& space, const std::string& key) const {
  for (const auto& s : spaces_) {
    if (s.first != space) continue;
    for (const Item& it : items_) {
      if (it.space == s.second && it.key == key) return &it.value;
    }
  }
  return nullptr;
}

}  // namespace porthole
