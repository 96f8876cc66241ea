#include "camera.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace porthole {
namespace {

constexpr size_t kMaxPicture = 1000000;
constexpr int kNotFound = 0x105;  // no sensor answers (esp32-wire 4.7)

bool IsPicture(const std::string& name) {
  const size_t dot = name.rfind('.');
  if (name[0] == '.' || dot == std::string::npos) return false;
  return strcasecmp(name.c_str() + dot, ".jpg") == 0 || strcasecmp(name.c_str() + dot, ".jpeg") == 0;
}

// Natural order: 2.jpg before 10.jpg.
bool Before(const std::string& a, const std::string& b) { return strverscmp(a.c_str(), b.c_str()) < 0; }

// End gives the length of the JPEG at the front of the bytes, 0 where it is not
// complete yet: segments by their length, then entropy-coded data up to EOI.
size_t End(const std::vector<uint8_t>& b) {
  size_t i = 2;
  while (i + 1 < b.size()) {
    if (b[i] != 0xFF) {
      i++;
      continue;
    }
    const uint8_t marker = b[i + 1];
    if (marker == 0xD9) return i + 2;
    if (marker == 0xFF) {
      i++;
    } else if (marker == 0x00 || (marker >= 0xD0 && marker <= 0xD8)) {
      i += 2;
    } else {
      if (i + 3 >= b.size()) return 0;
      i += 2 + (static_cast<size_t>(b[i + 2]) << 8 | b[i + 3]);
    }
  }
  return 0;
}

}  // namespace

std::string FileCamera::Open() {
  if (source_ == "-") return "";
  struct stat st;
  if (stat(source_.c_str(), &st) != 0) return "camera \"" + source_ + "\" does not exist";
  folder_ = S_ISDIR(st.st_mode);
  if (!folder_) return "";
  DIR* dir = opendir(source_.c_str());
  if (dir == nullptr) return "cannot read folder \"" + source_ + "\"";
  while (const dirent* entry = readdir(dir)) {
    if (IsPicture(entry->d_name)) files_.push_back(entry->d_name);
  }
  closedir(dir);
  std::sort(files_.begin(), files_.end(), Before);
  return files_.empty() ? "no .jpg file in folder \"" + source_ + "\"" : "";
}

int FileCamera::Start(const Crop&) { return ended_ ? kNotFound : 0; }

bool FileCamera::Capture(Frame* frame) {
  frame->captured = now_();
  bool good = false;
  if (source_ == "-") {
    good = ReadStream();
  } else if (folder_) {
    good = ReadPicture(source_ + "/" + files_[next_]);
    next_ = (next_ + 1) % files_.size();
  } else {
    good = ReadPicture(source_);
  }
  // A pipe delivers when its writer does: that is when the picture was taken.
  if (source_ == "-") frame->captured = now_();
  frame->delivered = now_();
  frame->jpeg = {picture_.data(), picture_.size()};
  return good;
}

bool FileCamera::ReadPicture(const std::string& path) {
  FILE* f = fopen(path.c_str(), "rb");
  if (f == nullptr) return false;
  picture_.resize(kMaxPicture + 1);
  picture_.resize(fread(picture_.data(), 1, picture_.size(), f));
  fclose(f);
  return true;
}

bool FileCamera::ReadStream() {
  uint8_t buffer[16384];
  for (;;) {
    static constexpr uint8_t kStart[] = {0xFF, 0xD8};
    const auto start = std::search(rest_.begin(), rest_.end(), kStart, kStart + 2);
    if (start != rest_.end()) {
      rest_.erase(rest_.begin(), start);
      const size_t end = End(rest_);
      if (end != 0) {
        picture_.assign(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(end));
        rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(end));
        return true;
      }
    } else if (rest_.size() > 1) {
      rest_.erase(rest_.begin(), rest_.end() - 1);
    }
    const ssize_t n = rest_.size() > kMaxPicture ? 0 : read(STDIN_FILENO, buffer, sizeof buffer);
    if (n <= 0) {
      ended_ = true;
      return false;
    }
    rest_.insert(rest_.end(), buffer, buffer + n);
  }
}

}  // namespace porthole
