#!/usr/bin/env bash
# Installs what the tests need beyond Go. On Debian as root it does so by
# itself; elsewhere it says what to run. What is missing is an error.
set -euo pipefail

packages=()
need() { # command, Debian package
  command -v "$1" >/dev/null 2>&1 || packages+=("$2")
}

if [ -z "${PORTHOLE_CHROMIUM:-}" ] && ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null && ! command -v google-chrome >/dev/null; then
  packages+=(chromium)
fi
need gcc gcc # the race detector
need g++ g++ # the firmware, and ELF files that backtraces are decoded from
[ -e /usr/include/mbedtls/ssl.h ] || packages+=(libmbedtls-dev) # the firmware on this machine
need node nodejs # the JavaScript flasher of the conformance suite
need ffmpeg ffmpeg # other codecs, to compare with
need npm npm
need nginx nginx-light # the server that ours is measured beside, and the proxy of deploy/
need h2load nghttp2-client # its HTTP/2 load
need taskset util-linux
[ -e /usr/include/openssl/ssl.h ] || packages+=(libssl-dev) # the load client of make bench-serve
need shellcheck shellcheck # make lint
need systemd-analyze systemd # the unit of deploy/ is tried
if ! python3 -c 'import serial' 2>/dev/null && ! /usr/bin/python3 -c 'import serial' 2>/dev/null; then
  packages+=(python3-serial) # the serial library under esptool, for the conformance suite
fi

[ ${#packages[@]} -eq 0 ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing: ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
  exit 0
fi

echo "error: the tests need: ${packages[*]}" >&2
echo "hint: sudo apt-get install ${packages[*]}" >&2
exit 1
