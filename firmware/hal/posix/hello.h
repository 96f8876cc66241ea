// What Arduino core 2.0.x says in its ClientHello.
#pragma once

#include <mbedtls/ssl.h>

namespace porthole {

// SayCore2 sets suites, groups and signature hashes, in order, so that the hello of
// Debian's Mbed TLS 2.28 is that of Arduino core 2.0.x but for the random bytes
// (esp32-wire 2.5). JA3: d47b25892e4b2b6a892657e396050b44.
void SayCore2(mbedtls_ssl_config* config);

}  // namespace porthole
