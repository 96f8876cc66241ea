#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hello.h"

namespace porthole {
namespace {

// LwipErrno gives the number that a board prints for an error of this machine
// (esp32-wire 3.1).
int LwipErrno(int error) {
  switch (error) {
    case ETIMEDOUT: return 116;
    case EHOSTUNREACH:
    case ENETUNREACH: return 118;
    case ECONNABORTED: return 113;
    default: return error;  // 104 reset and 111 refused are the same
  }
}

const char* LwipText(int number) {
  switch (number) {
    case 104: return "Connection reset by peer";
    case 111: return "Connection refused";
    case 113: return "Software caused connection abort";
    case 116: return "Connection timed out";
    case 118: return "Host is unreachable";
    default: return "Socket error";
  }
}

}  // namespace

PosixTransport::PosixTransport(Log& log, const std::string& connect) : log_(log), connect_(connect) {
  mbedtls_entropy_init(&entropy_);
  mbedtls_ctr_drbg_init(&drbg_);
  mbedtls_ssl_config_init(&config_);
  mbedtls_ssl_init(&ssl_);
  mbedtls_x509_crt_init(&roots_);
  mbedtls_ssl_session_init(&session_);
}

PosixTransport::~PosixTransport() {
  Close();
  mbedtls_ssl_session_free(&session_);
  mbedtls_x509_crt_free(&roots_);
  mbedtls_ssl_free(&ssl_);
  mbedtls_ssl_config_free(&config_);
  mbedtls_ctr_drbg_free(&drbg_);
  mbedtls_entropy_free(&entropy_);
}

Io PosixTransport::Connect(const Endpoint& to) {
  switch (state_) {
    case State::kClosed: return OpenSocket(to);
    case State::kTcp: return FinishTcp(to);
    case State::kTls: return Handshake();
    case State::kOpen: break;
  }
  return Io::kDone;
}

// OpenSocket resolves the name, at each connection as the core does (esp32-wire
// 3.1), and begins to connect.
Io PosixTransport::OpenSocket(const Endpoint& to) {
  std::string host = to.host, port = std::to_string(to.port);
  if (!connect_.empty()) {
    const size_t colon = connect_.rfind(':');
    host = connect_.substr(0, colon);
    port = connect_.substr(colon + 1);
  }
  addrinfo hints = {}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) {
    char line[400];
    const int n = snprintf(line, sizeof line, "[%6llu][E][WiFiGeneric.cpp:1583] hostByName(): DNS Failed for %.253s",
                           static_cast<unsigned long long>(now_), to.host);
    log_.Line(line, static_cast<size_t>(n));
    failure_code_ = 0;
    failure_ = std::string("DNS Failed for ") + to.host;
    return Io::kFailed;
  }
  fd_ = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int rc = fd_ < 0 ? -1 : connect(fd_, found->ai_addr, found->ai_addrlen);
  const int error = errno;
  freeaddrinfo(found);
  if (rc != 0 && error != EINPROGRESS) return FailSocket(error);
  state_ = State::kTcp;
  wants_write_ = true;
  return rc == 0 ? FinishTcp(to) : Io::kPending;
}

Io PosixTransport::FinishTcp(const Endpoint& to) {
  sockaddr_storage peer;
  socklen_t size = sizeof peer;
  if (getpeername(fd_, reinterpret_cast<sockaddr*>(&peer), &size) != 0) {
    int error = 0;
    socklen_t n = sizeof error;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &n);
    return error == 0 ? Io::kPending : FailSocket(error);
  }
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  wants_write_ = false;
  secure_ = to.ca[0] != 0;
  if (!secure_) {
    state_ = State::kOpen;
    return Io::kDone;
  }
  return StartTls(to);
}

Io PosixTransport::StartTls(const Endpoint& to) {
  if (!ready_ || roots_pem_ != to.ca) {
    static constexpr char kPersonal[] = "esp32-tls";
    int rc = 0;
    if (!ready_) {
      rc = mbedtls_ctr_drbg_seed(&drbg_, mbedtls_entropy_func, &entropy_,
                                 reinterpret_cast<const unsigned char*>(kPersonal), sizeof kPersonal - 1);
      if (rc == 0) {
        rc = mbedtls_ssl_config_defaults(&config_, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
      }
      if (rc != 0) return FailTls(rc);
      SayCore2(&config_);
      mbedtls_ssl_conf_authmode(&config_, MBEDTLS_SSL_VERIFY_REQUIRED);
      mbedtls_ssl_conf_rng(&config_, mbedtls_ctr_drbg_random, &drbg_);
      mbedtls_ssl_conf_verify(&config_, Verify, this);
      ready_ = true;
    }
    mbedtls_x509_crt_free(&roots_);
    mbedtls_x509_crt_init(&roots_);
    rc = mbedtls_x509_crt_parse(&roots_, reinterpret_cast<const unsigned char*>(to.ca), strlen(to.ca) + 1);
    if (rc != 0) return FailTls(rc);
    mbedtls_ssl_conf_ca_chain(&config_, &roots_, nullptr);
    roots_pem_ = to.ca;
  }
  resume_ = to.resume;
  int rc = mbedtls_ssl_setup(&ssl_, &config_);
  // The name goes into SNI whatever it is, also an address (esp32-wire 2.1).
  if (rc == 0) rc = mbedtls_ssl_set_hostname(&ssl_, to.host);
  if (rc == 0 && resume_ && session_saved_) rc = mbedtls_ssl_set_session(&ssl_, &session_);
  if (rc != 0) return FailTls(rc);
  mbedtls_ssl_set_bio(&ssl_, this, BioSend, BioReceive, nullptr);
  state_ = State::kTls;
  return Handshake();
}

Io PosixTransport::Handshake() {
  const int rc = mbedtls_ssl_handshake(&ssl_);
  wants_write_ = rc == MBEDTLS_ERR_SSL_WANT_WRITE;
  if (rc == MBEDTLS_ERR_SSL_WANT_READ || wants_write_) return Io::kPending;
  if (rc != 0) {
    session_saved_ = false;
    return FailTls(rc);
  }
  if (resume_) {
    mbedtls_ssl_session_free(&session_);
    mbedtls_ssl_session_init(&session_);
    session_saved_ = mbedtls_ssl_get_session(&ssl_, &session_) == 0;
  }
  state_ = State::kOpen;
  return Io::kDone;
}

Io PosixTransport::Send(Bytes record) {
  if (state_ != State::kOpen) return Io::kFailed;
  if (secure_) {
    const int rc = mbedtls_ssl_write(&ssl_, record.data, record.size);
    wants_write_ = rc == MBEDTLS_ERR_SSL_WANT_WRITE;
    if (rc == MBEDTLS_ERR_SSL_WANT_READ || wants_write_) return Io::kPending;
    return rc < 0 ? FailTls(rc) : Io::kDone;
  }
  while (sent_ < record.size) {
    const ssize_t n = send(fd_, record.data + sent_, record.size - sent_, MSG_NOSIGNAL);
    wants_write_ = n < 0 && (errno == EAGAIN || errno == EINTR);
    if (wants_write_) return Io::kPending;
    if (n < 0) return FailSocket(errno);
    sent_ += static_cast<size_t>(n);
  }
  sent_ = 0;
  return Io::kDone;
}

Io PosixTransport::Receive(uint8_t* buffer, size_t cap, size_t* got) {
  *got = 0;
  if (state_ != State::kOpen) return Io::kFailed;
  wants_write_ = false;
  if (secure_) {
    const int rc = mbedtls_ssl_read(&ssl_, buffer, cap);
    if (rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE) return Io::kPending;
    if (rc == 0 || rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || rc == MBEDTLS_ERR_SSL_CONN_EOF) return Io::kDone;
    if (rc < 0) return FailTls(rc);
    *got = static_cast<size_t>(rc);
    return Io::kDone;
  }
  const ssize_t n = recv(fd_, buffer, cap, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return Io::kPending;
  if (n < 0) return FailSocket(errno);
  *got = static_cast<size_t>(n);
  return Io::kDone;
}

void PosixTransport::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  sent_ = 0;
  wants_write_ = false;
  state_ = State::kClosed;
  mbedtls_ssl_free(&ssl_);
  mbedtls_ssl_init(&ssl_);
}

Io PosixTransport::FailSocket(int error) {
  failure_code_ = LwipErrno(error);
  failure_ = LwipText(failure_code_);
  char line[200];
  // The first descriptor that lwIP gives out is 48.
  const int n = snprintf(line, sizeof line, "[%6llu][E][WiFiClient.cpp:257] connect(): socket error on fd 48, errno: %d, \"%s\"",
                         static_cast<unsigned long long>(now_), failure_code_, failure_.c_str());
  log_.Line(line, static_cast<size_t>(n));
  return Io::kFailed;
}

Io PosixTransport::FailTls(int code) {
  char text[160], line[320];
  mbedtls_strerror(code, text, sizeof text);
  failure_code_ = code;
  failure_ = text;
  int n = snprintf(line, sizeof line, "[%6llu][E][ssl_client.cpp:37] _handle_error(): [start_ssl_client():264]: (%d) %s",
                   static_cast<unsigned long long>(now_), code, text);
  log_.Line(line, static_cast<size_t>(n));
  n = snprintf(line, sizeof line, "[%6llu][E][WiFiClientSecure.cpp:144] connect(): start_ssl_client: %d",
               static_cast<unsigned long long>(now_), code);
  log_.Line(line, static_cast<size_t>(n));
  return Io::kFailed;
}

int PosixTransport::BioSend(void* self, const unsigned char* data, size_t size) {
  const ssize_t n = send(static_cast<PosixTransport*>(self)->fd_, data, size, MSG_NOSIGNAL);
  if (n >= 0) return static_cast<int>(n);
  if (errno == EAGAIN || errno == EINTR) return MBEDTLS_ERR_SSL_WANT_WRITE;
  return errno == ECONNRESET || errno == EPIPE ? MBEDTLS_ERR_NET_CONN_RESET : MBEDTLS_ERR_NET_SEND_FAILED;
}

int PosixTransport::BioReceive(void* self, unsigned char* data, size_t size) {
  const ssize_t n = recv(static_cast<PosixTransport*>(self)->fd_, data, size, 0);
  if (n >= 0) return static_cast<int>(n);
  if (errno == EAGAIN || errno == EINTR) return MBEDTLS_ERR_SSL_WANT_READ;
  return errno == ECONNRESET ? MBEDTLS_ERR_NET_CONN_RESET : MBEDTLS_ERR_NET_RECV_FAILED;
}

// Verify forgets what is said of dates: boards have no clock when they connect,
// and their library is built without the check (esp32-wire 2.6).
int PosixTransport::Verify(void*, mbedtls_x509_crt*, int, uint32_t* flags) {
  *flags &= ~static_cast<uint32_t>(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE);
  return 0;
}

}  // namespace porthole
