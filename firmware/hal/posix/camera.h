// The camera of the host program: JPEG files, or a pipe of them.
#pragma once

#include <string>
#include <vector>

#include "../../core/io.h"

namespace porthole {

// FileCamera plays pictures:
//
//	a folder   its .jpg files in natural order, again and again
//	a file     read anew for each capture, as a snapshot that somebody renews
//	-          standard input, JPEG behind JPEG; its end is the camera's end
class FileCamera : public Camera {
 public:
  explicit FileCamera(const std::string& source) : source_(source) {}

  // Open returns what is wrong with the source, or an empty text.
  std::string Open();
  // Ended reports the end of standard input.
  bool Ended() const { return ended_; }
  void SetClock(Time (*now)()) { now_ = now; }

  int Start(const Crop& crop) override;
  Time StartTime() override { return 0; }
  bool Capture(Frame* frame) override;
  void Release() override {}
  void Stop() override {}

 private:
  bool ReadPicture(const std::string& path);
  bool ReadStream();

  const std::string source_;
  std::vector<std::string> files_;
  size_t next_ = 0;
  bool folder_ = false, ended_ = false;
  std::vector<uint8_t> picture_, rest_;
  Time (*now_)() = nullptr;
};

}  // namespace porthole
