// TLS of the Arduino core.
#pragma once

#include <WiFiClientSecure.h>

#include "../../core/io.h"

namespace porthole {

// BoardTransport blocks inside its calls, as the core's client does; the watchdog
// is set for that. Each Send is one write, which the core makes one record and one
// segment of (esp32-wire 1.2).
//
// Sessions are not resumed: neither core has a public call for it, and the way
// around its lack is not tried on a board (esp32-wire 6). The connection is kept
// instead, which saves more.
class BoardTransport : public Transport {
 public:
  Io Connect(const Endpoint& to) override;
  Io Send(Bytes record) override;
  Io Receive(uint8_t* buffer, size_t cap, size_t* got) override;
  void Close() override;
  Failure LastFailure() override { return {code_, why_}; }

 private:
  Client& Way() { return secure_ ? static_cast<Client&>(tls_) : static_cast<Client&>(plain_); }
  Io Fail();

  WiFiClientSecure tls_;
  WiFiClient plain_;
  bool secure_ = false, open_ = false;
  int code_ = 0;
  char why_[100] = "";
};

}  // namespace porthole
