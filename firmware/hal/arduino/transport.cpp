#include "transport.h"

namespace porthole {
namespace {

constexpr int kConnectMs = 10000;
constexpr unsigned long kHandshakeSeconds = 20;  // below the watchdog's thirty

}  // namespace

Io BoardTransport::Connect(const Endpoint& to) {
  secure_ = to.ca[0] != 0;
  int ok = 0;
  if (secure_) {
    tls_.setCACert(to.ca);  // the pinned roots, never setInsecure
    tls_.setHandshakeTimeout(kHandshakeSeconds);
    ok = tls_.connect(to.host, to.port, kConnectMs);
  } else {
    ok = plain_.connect(to.host, to.port, kConnectMs);
  }
  if (ok == 0) return Fail();
  open_ = true;
  return Io::kDone;
}

Io BoardTransport::Send(Bytes record) {
  // An empty write would spin for ever in core 2.0.x (esp32-wire 1.2).
  if (!open_ || record.size == 0) return Io::kFailed;
  return Way().write(record.data, record.size) == record.size ? Io::kDone : Fail();
}

Io BoardTransport::Receive(uint8_t* buffer, size_t cap, size_t* got) {
  *got = 0;
  if (!open_) return Io::kFailed;
  if (Way().available() <= 0) {
    if (Way().connected()) return Io::kPending;
    open_ = false;
    return Io::kDone;  // the end
  }
  const int n = Way().read(buffer, cap);
  if (n <= 0) return Io::kPending;
  *got = static_cast<size_t>(n);
  return Io::kDone;
}

void BoardTransport::Close() {
  if (open_) Way().stop();  // without close_notify (esp32-wire 1.5)
  open_ = false;
}

Io BoardTransport::Fail() {
  why_[0] = 0;
  code_ = secure_ ? tls_.lastError(why_, sizeof why_) : -1;
  if (why_[0] == 0) strlcpy(why_, "connection failed", sizeof why_);
  return Io::kFailed;
}

}  // namespace porthole
