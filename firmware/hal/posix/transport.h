// TCP and TLS of the host program: sockets, and Debian's Mbed TLS 2.28 set up to
// say what Arduino core 2.0.x says on a board.
#pragma once

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include <string>
#include <vector>

#include "../../core/io.h"

namespace porthole {

// PosixTransport is a non-blocking connection. One Send is one TLS record and one
// send(), with TCP_NODELAY: write boundaries are visible on the wire as they are
// on a board (esp32-wire 1.2).
class PosixTransport : public Transport {
 public:
  // connect, where not empty, is ADDRESS:PORT to connect to instead of the
  // endpoint's own; names and certificates stay the endpoint's.
  PosixTransport(Log& log, const std::string& connect);
  ~PosixTransport() override;
  PosixTransport(const PosixTransport&) = delete;
  PosixTransport& operator=(const PosixTransport&) = delete;

  Io Connect(const Endpoint& to) override;
  Io Send(Bytes record) override;
  Io Receive(uint8_t* buffer, size_t cap, size_t* got) override;
  void Close() override;
  Failure LastFailure() override { return {failure_code_, failure_.c_str()}; }

  // What to wait for before the next call: the socket (-1: none), and whether it
  // is for writing.
  int fd() const { return fd_; }
  bool wants_write() const { return wants_write_; }
  // Now is the time of the log lines.
  void SetNow(Time now) { now_ = now; }

 private:
  enum class State : uint8_t { kClosed, kTcp, kTls, kOpen };

  Io OpenSocket(const Endpoint& to);
  Io FinishTcp(const Endpoint& to);
  Io StartTls(const Endpoint& to);
  Io Handshake();
  Io FailSocket(int error);
  Io FailTls(int code);
  static int BioSend(void* self, const unsigned char* data, size_t size);
  static int BioReceive(void* self, unsigned char* data, size_t size);
  static int Verify(void* self, mbedtls_x509_crt* certificate, int depth, uint32_t* flags);

  Log& log_;
  const std::string connect_;
  State state_ = State::kClosed;
  int fd_ = -1;
  bool wants_write_ = false, secure_ = false, resume_ = false;
  size_t sent_ = 0;  // of a record without TLS
  int failure_code_ = 0;
  std::string failure_;
  Time now_ = 0;

  mbedtls_entropy_context entropy_;
  mbedtls_ctr_drbg_context drbg_;
  mbedtls_ssl_config config_;
  mbedtls_ssl_context ssl_;
  mbedtls_x509_crt roots_;
  mbedtls_ssl_session session_;
  bool ready_ = false, session_saved_ = false;
  std::string roots_pem_;
};

}  // namespace porthole
