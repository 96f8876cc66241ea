// The requests of the upload protocol, record by record. internal/wire has the
// same writers in Go; both are held against the same vectors.
#pragma once

#include "io.h"
#include "text.h"

namespace porthole {

// Profile is a way to write an upload.
enum class Profile : uint8_t {
  // kSketch is what boards in the field run: a record per print, 1,024 bytes of
  // image each, a connection per frame, and a last kilobyte that is lost when
  // the picture is a multiple of it (esp32-wire 1.3, 1.4).
  kSketch,
  // kFirmware is ours: one record in front of the image, 4,096 bytes each, the
  // connection kept, the answer wanted as JSON.
  kFirmware,
};

constexpr size_t kChunk = 1024;        // image bytes of a sketch's record
constexpr size_t kSlice = 4096;        // of ours; fits lwIP's send buffer (esp32-wire 3.1)
constexpr size_t kFraming = 102 + 11;  // multipart head and tail

// Address is what the request line and headers say. Strings are borrowed.
struct Address {
  const char* host = "";  // as the Host header has it
  const char* path = "";
  const char* token = "";
};

// RequestWriter yields one request as records. Use it for one request at a time.
class RequestWriter {
 public:
  // Upload begins an upload; jpeg is borrowed until the last record is sent.
  void Upload(Profile profile, const Address& to, Bytes jpeg);
  // DropLastKilobyte switches the sketch's defect; it is on.
  void DropLastKilobyte(bool on) { drop_ = on; }
  // Notice begins the message that the camera was switched on or off.
  void Notice(const Address& to, bool on);
  // Next gives the next record, valid until the call after it; false at the end.
  bool Next(Bytes* record);

 private:
  // Long enough for the longest host, path and token that a configuration holds.
  static constexpr size_t kHead = 1024;

  bool Line(Bytes* record);
  bool Image(Bytes* record, size_t piece);
  Bytes Scratch() const;
  void Head(const Address& to, const char* file, const char* type, size_t length);

  Profile profile_ = Profile::kFirmware;
  Address to_;
  Bytes jpeg_;
  size_t sent_ = 0;
  uint8_t step_ = 0;
  bool drop_ = true;
  bool notice_ = false;
  char buffer_[kHead];
  TextBuilder text_{buffer_, sizeof buffer_};
};

}  // namespace porthole
