#include "request.h"

namespace porthole {
namespace {

constexpr char kType[] = "multipart/form-data; boundary=LMR";
constexpr char kJson[] = "application/json";
constexpr char kMultipartHead[] =
    "--LMR\r\n"
    "Content-Disposition: form-data; name=\"img\"; filename=\"latest.jpg\"\r\n"
    "Content-Type: image/jpeg\r\n\r\n";
constexpr char kMultipartTail[] = "\r\n--LMR--\r\n";
static_assert(sizeof kMultipartHead - 1 + sizeof kMultipartTail - 1 == kFraming, "framing");

// Steps of both profiles, in order; a sketch's header lines are steps 0 to 10.
enum Step : uint8_t { kBegin = 0, kSketchHead = 11, kImage = 12, kEnd = 13 };

}  // namespace

void RequestWriter::Upload(Profile profile, const Address& to, Bytes jpeg) {
  profile_ = profile;
  to_ = to;
  jpeg_ = jpeg;
  sent_ = 0;
  step_ = kBegin;
  notice_ = false;
}

void RequestWriter::Notice(const Address& to, bool on) {
  profile_ = Profile::kFirmware;
  to_ = to;
  step_ = kBegin;
  notice_ = true;
  const char* body = on ? "{\"state\":\"on\"}" : "{\"state\":\"off\"}";
  Head(to, "camera", kJson, strlen(body));
  text_.Add(body);
}

Bytes RequestWriter::Scratch() const {
  return {reinterpret_cast<const uint8_t*>(text_.data()), text_.size()};
}

// Head writes the request up to its empty line. file replaces what follows the
// last slash of the path; nullptr leaves it.
void RequestWriter::Head(const Address& to, const char* file, const char* type, size_t length) {
  text_.Clear();
  text_.Add("POST ");
  if (file != nullptr) {
    const char* slash = strrchr(to.path, '/');
    text_.Add(to.path, slash == nullptr ? 0 : static_cast<size_t>(slash - to.path) + 1).Add(file);
  } else {
    text_.Add(to.path);
  }
  text_.Add(" HTTP/1.1\r\nHost: ").Add(to.host);
  text_.Add("\r\nAuthorization: Bearer ").Add(to.token);
  text_.Add("\r\nAccept: ").Add(kJson);
  text_.Add("\r\nContent-Length: ").Unsigned(length);
  text_.Add("\r\nContent-Type: ").Add(type).Add("\r\n\r\n");
}

bool RequestWriter::Next(Bytes* record) {
  if (notice_) {
    *record = Scratch();
    return step_++ == kBegin;
  }
  if (profile_ == Profile::kFirmware && step_ == kBegin) {
    Head(to_, nullptr, kType, jpeg_.size + kFraming);
    text_.Add(kMultipartHead);
    *record = Scratch();
    step_ = kImage;
    return true;
  }
  if (step_ < kImage) return Line(record);
  if (step_ == kImage) {
    if (Image(record, profile_ == Profile::kFirmware ? kSlice : kChunk)) return true;
    step_ = kEnd;
    *record = {reinterpret_cast<const uint8_t*>(kMultipartTail), sizeof kMultipartTail - 1};
    return true;
  }
  return false;
}

// Line gives a sketch's record in front of the image. println is two writes, the
// text and the line end (esp32-wire 1.2), so the odd steps are line ends.
bool RequestWriter::Line(Bytes* record) {
  text_.Clear();
  switch (step_) {
    case 0: text_.Add("POST ").Add(to_.path).Add(" HTTP/1.1"); break;
    case 2: text_.Add("Host: ").Add(to_.host); break;
    case 4: text_.Add("Authorization: Bearer ").Add(to_.token); break;
    case 6: text_.Add("Content-Length: ").Unsigned(jpeg_.size + kFraming); break;
    case 8: text_.Add("Content-Type: ").Add(kType); break;
    case kSketchHead: text_.Add(kMultipartHead); break;
    default: text_.Add("\r\n"); break;
  }
  step_++;
  *record = Scratch();
  return true;
}

// Image gives the next piece of the picture; false when there is none left. What
// remains is counted down, so no length is special but for the sketch's defect:
// a last piece of exactly one chunk is not sent (esp32-wire 1.4).
bool RequestWriter::Image(Bytes* record, size_t piece) {
  const size_t left = jpeg_.size - sent_;
  if (left == 0) return false;
  if (profile_ == Profile::kSketch && drop_ && left == kChunk) return false;
  const size_t n = left < piece ? left : piece;
  *record = {jpeg_.data + sent_, n};
  sent_ += n;
  return true;
}

}  // namespace porthole
