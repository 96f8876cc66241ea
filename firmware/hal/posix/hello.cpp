#include "hello.h"

namespace porthole {
namespace {

// The suites of esp32-wire 2.3 in their order. The signalling value 00FF, last in
// the hello, is added by the library.
const int kSuites[] = {
    0xC02C, 0xC030, 0x009F, 0xC0AD, 0xC09F, 0xC024, 0xC028, 0x006B, 0xC00A, 0xC014, 0x0039, 0xC0AF,
    0xC0A3, 0xC087, 0xC08B, 0xC07D, 0xC073, 0xC077, 0x00C4, 0x0088, 0xC02B, 0xC02F, 0x009E, 0xC0AC,
    0xC09E, 0xC023, 0xC027, 0x0067, 0xC009, 0xC013, 0x0033, 0xC0AE, 0xC0A2, 0xC086, 0xC08A, 0xC07C,
    0xC072, 0xC076, 0x00BE, 0x0045, 0x009D, 0xC09D, 0x003D, 0x0035, 0xC032, 0xC02A, 0xC00F, 0xC02E,
    0xC026, 0xC005, 0xC0A1, 0xC07B, 0x00C0, 0x0084, 0xC08D, 0xC079, 0xC089, 0xC075, 0x009C, 0xC09C,
    0x003C, 0x002F, 0xC031, 0xC029, 0xC00E, 0xC02D, 0xC025, 0xC004, 0xC0A0, 0xC07A, 0x00BA, 0x0041,
    0xC08C, 0xC078, 0xC088, 0xC074,
    0,
};

// secp521r1 first: the order is that of the library's defaults with Brainpool in
// between (esp32-wire 2.2).
const mbedtls_ecp_group_id kGroups[] = {
    MBEDTLS_ECP_DP_SECP521R1, MBEDTLS_ECP_DP_BP512R1,   MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_ECP_DP_BP384R1,
    MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_SECP256K1, MBEDTLS_ECP_DP_BP256R1,   MBEDTLS_ECP_DP_SECP224R1,
    MBEDTLS_ECP_DP_SECP224K1, MBEDTLS_ECP_DP_SECP192R1, MBEDTLS_ECP_DP_SECP192K1, MBEDTLS_ECP_DP_CURVE25519,
    MBEDTLS_ECP_DP_NONE,
};

// Each stands for RSA and ECDSA with it.
const int kHashes[] = {
    MBEDTLS_MD_SHA512, MBEDTLS_MD_SHA384, MBEDTLS_MD_SHA256, MBEDTLS_MD_SHA224, MBEDTLS_MD_SHA1, MBEDTLS_MD_NONE,
};

}  // namespace

void SayCore2(mbedtls_ssl_config* config) {
  mbedtls_ssl_conf_ciphersuites(config, kSuites);
  mbedtls_ssl_conf_curves(config, kGroups);
  mbedtls_ssl_conf_sig_hashes(config, kHashes);
}

}  // namespace porthole
