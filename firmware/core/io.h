// What the firmware needs from the machine it runs on. The core knows these
// interfaces only; hal/arduino implements them on a board, hal/posix on a
// computer, test/ with fakes. Nothing here allocates.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace porthole {

// Time is milliseconds since the start of the program. It is 64 bits wide, so
// that no sum of it wraps (millis() does after 49.7 days, esp32-wire 1.6).
using Time = uint64_t;

// kNever is later than every other time.
constexpr Time kNever = UINT64_MAX;

// Bytes is a borrowed run of bytes.
struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

// Io is how far an operation has come that may take longer than one step. After
// kPending the same call is made again with the same arguments.
enum class Io : uint8_t { kDone, kPending, kFailed };

// Random gives 32 unpredictable bits (esp_random on a board).
class Random {
 public:
  virtual ~Random() = default;
  virtual uint32_t Next() = 0;
};

// Failure is why the last operation of a transport failed: the number a board
// prints (mbedTLS's, or lwIP's errno, esp32-wire 3.3) and words for it. The
// words live until the next call.
struct Failure {
  int code = 0;
  const char* why = "";
};

// Endpoint is where a transport connects to. The strings outlive the connection.
struct Endpoint {
  const char* host = "";
  uint16_t port = 0;
  const char* ca = "";  // PEM; empty: no TLS
  bool resume = false;  // offer the session of the last connection
};

// Transport is one connection to the server. A Send is one TLS record and one
// segment push. Operations after a failure fail until Close.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual Io Connect(const Endpoint& to) = 0;
  virtual Io Send(Bytes record) = 0;
  // Receive gives what has arrived, at most cap bytes. Done with no bytes is
  // the end of the stream.
  virtual Io Receive(uint8_t* buffer, size_t cap, size_t* got) = 0;
  // Close drops the connection without a word, as client.stop() does
  // (esp32-wire 1.5): what is half sent stays half sent.
  virtual void Close() = 0;
  virtual Failure LastFailure() = 0;
};

// Frame is one picture, borrowed from the camera until Release.
struct Frame {
  Bytes jpeg;
  Time captured = 0;   // when the sensor began it
  Time delivered = 0;  // when the camera handed it over
};

// Crop is the part of the picture that the sensor delivers; all zero: all of it.
struct Crop {
  uint16_t w = 0, h = 0, x = 0, y = 0;
  bool Whole() const { return w == 0; }
};

// Camera is the sensor and its driver.
class Camera {
 public:
  virtual ~Camera() = default;
  // Start powers the sensor up with special effect 2 (grayscale) and the crop.
  // It returns 0 or the driver's error code (esp32-wire 4.7).
  virtual int Start(const Crop& crop) = 0;
  // StartTime is what the last Start took, in milliseconds.
  virtual Time StartTime() = 0;
  // Capture takes a picture; false when none came in time.
  virtual bool Capture(Frame* frame) = 0;
  virtual void Release() = 0;
  virtual void Stop() = 0;
};

// Switch is the sense line of the shutoff (esp32-wire 5.3).
class Switch {
 public:
  virtual ~Switch() = default;
  // Off is the level now: true when the camera is to be off.
  virtual bool Off() = 0;
  // Tripped reports whether the line was seen off since the last call, however
  // briefly, and forgets it. An interrupt sets it, so that no edge is lost.
  virtual bool Tripped() = 0;
};

// Led is the status light.
class Led {
 public:
  virtual ~Led() = default;
  virtual void Set(bool on) = 0;
};

// Stored is what a read of the store found.
enum class Stored : uint8_t { kFound, kMissing, kWrongType, kTooLong };

// Store is the configuration in flash.
class Store {
 public:
  virtual ~Store() = default;
  // Open makes the store readable as it is now. It returns nullptr, or why not.
  virtual const char* Open() = 0;
  // Text copies a string with its NUL into buffer.
  virtual Stored Text(const char* key, char* buffer, size_t cap) = 0;
  virtual Stored U16(const char* key, uint16_t* value) = 0;
  virtual Stored U32(const char* key, uint32_t* value) = 0;
};

// Log takes whole lines without their end.
class Log {
 public:
  virtual ~Log() = default;
  virtual void Line(const char* text, size_t size) = 0;
};

// Link is a joined network.
struct Link {
  char ip[16] = "";
  int rssi = 0;
  int channel = 0;
};

// Radio is the Wi-Fi station.
class Radio {
 public:
  virtual ~Radio() = default;
  // Join associates and gets an address. kFailed leaves the driver's reason.
  virtual Io Join(const char* ssid, const char* password, Link* link) = 0;
  // Up reports whether the link still stands.
  virtual bool Up() = 0;
  // Reason is why the last Join failed or the link went (esp32-wire 3.4).
  virtual int Reason() = 0;
  virtual void Leave() = 0;
};

// System is the rest of the board.
class System {
 public:
  virtual ~System() = default;
  virtual const char* Version() = 0;
  virtual const char* ResetReason() = 0;
  virtual uint32_t FreeHeap() = 0;      // internal RAM
  virtual uint32_t LargestBlock() = 0;  // of internal RAM
  virtual uint32_t FreePsram() = 0;
  virtual void FeedWatchdog() = 0;
  // ImagePending reports that this image runs for the first time and the
  // bootloader goes back to the old one unless it is confirmed.
  virtual bool ImagePending() = 0;
  virtual bool ConfirmImage() = 0;
  // Restart does not return on a board. rollback: the pending image is given up.
  virtual void Restart(bool rollback) = 0;
};

}  // namespace porthole
