// Package conformance holds no code of its own: its tests let flashers that
// others wrote flash the simulated board, and compare what lies in its flash with
// what they were given.
//
//	flasher                      face         reset             where it comes from
//	tinygo espflasher 0.6.0      PTY          download mode     Go module
//	esptool-js 0.7.0             RFC 2217     DTR and RTS       npm, needs node
//	esptool 4.x, 5.x             RFC 2217     DTR and RTS       the machine, if it has one
//	esptool's recorded dialogues RFC 2217     DTR and RTS       testdata
//
// pyserial, on which esptool sits, is tried from both sides where python3 has it.
//
// The flashers run unmodified. esptool-js expects a Web Serial port; it gets one
// whose other end is our RFC 2217 server (esptooljs/webserial.mjs). Nothing here is
// a mock: a board serves a real TCP port of the loopback interface, or a real
// pseudo-terminal.
//
// All tests are parallel: a flasher spends most of its time waiting.
//
// The tests need node and npm and, the first time, an npm registry. With -short
// esptool-js is left out; otherwise a missing node or npm is a failure. esptool and
// pyserial are optional: without them their tests are skipped with the words NOT
// RUN, unless CONFORMANCE_REQUIRE=esptool,pyserial names them.
package conformance
