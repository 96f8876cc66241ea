package console

import (
	"fmt"
	"time"
)

// Error codes of mbedTLS as boards meet them (esp32-wire 3.3).
const (
	TLSAlloc      = -0x7F00
	TLSVerify     = -0x2700
	TLSAlert      = -0x7780
	TLSEOF        = -0x7280
	TLSBadRecord  = -0x7200
	TLSReset      = -0x0050
	TLSSendFailed = -0x004E
	TLSRecvFailed = -0x004C
	TLSGeneric    = -1
)

var tlsTexts = map[int]string{
	TLSAlloc:      "SSL - Memory allocation failed",
	TLSVerify:     "X509 - Certificate verification failed, e.g. CRL, CA or signature check failed",
	TLSAlert:      "SSL - A fatal alert message was received from our peer",
	TLSEOF:        "SSL - The connection indicated an EOF",
	TLSBadRecord:  "SSL - An invalid SSL record was received",
	TLSReset:      "NET - Connection was reset by peer",
	TLSSendFailed: "NET - Sending information through the socket failed",
	TLSRecvFailed: "NET - Reading information from the socket failed",
	TLSGeneric:    "UNKNOWN ERROR CODE (0001)",
}

// TLSText gives mbedTLS's own words for a code.
func TLSText(code int) string {
	if s, ok := tlsTexts[code]; ok {
		return s
	}
	return fmt.Sprintf("UNKNOWN ERROR CODE (%04X)", -code)
}

// TLSLines are what the Arduino core 2.0.x prints when a handshake fails.
func TLSLines(at time.Duration, code int) []CoreLine {
	return []CoreLine{
		{At: at, Level: Error, File: "ssl_client.cpp", Row: 37, Func: "_handle_error",
			Text: fmt.Sprintf("[start_ssl_client():264]: (%d) %s", code, TLSText(code))},
		{At: at, Level: Error, File: "WiFiClientSecure.cpp", Row: 144, Func: "connect",
			Text: fmt.Sprintf("start_ssl_client: %d", code)},
	}
}

// Errors of lwIP, with the numbers a board prints (esp32-wire 3.1).
const (
	ErrnoReset       = 104
	ErrnoRefused     = 111
	ErrnoAborted     = 113
	ErrnoTimedOut    = 116
	ErrnoUnreachable = 118
)

var errnoTexts = map[int]string{
	ErrnoReset: "Connection reset by peer", ErrnoRefused: "Connection refused",
	ErrnoAborted: "Software caused connection abort", ErrnoTimedOut: "Connection timed out",
	ErrnoUnreachable: "Host is unreachable",
}

// SocketLine is what the core prints when a TCP connection fails. The first
// descriptor lwIP gives out is 48.
func SocketLine(at time.Duration, errno int) CoreLine {
	return CoreLine{At: at, Level: Error, File: "WiFiClient.cpp", Row: 257, Func: "connect",
		Text: fmt.Sprintf("socket error on fd 48, errno: %d, %q", errno, errnoTexts[errno])}
}

// DNSLine is what the core prints when a name does not resolve.
func DNSLine(at time.Duration, host string) CoreLine {
	return CoreLine{At: at, Level: Error, File: "WiFiGeneric.cpp", Row: 1583, Func: "hostByName",
		Text: "DNS Failed for " + Clean(host)}
}

// Error codes of the camera driver (esp32-wire 4.7).
const (
	CameraNoMemory     = 0x101
	CameraNotFound     = 0x105
	CameraNotSupported = 0x106
)

var cameraNames = map[int]string{
	CameraNoMemory: "ESP_ERR_NO_MEM", CameraNotFound: "ESP_ERR_NOT_FOUND", CameraNotSupported: "ESP_ERR_NOT_SUPPORTED",
}

// CameraName gives the driver's name of a code.
func CameraName(code int) string {
	if s, ok := cameraNames[code]; ok {
		return s
	}
	return fmt.Sprintf("error 0x%x", code)
}

// CameraProbeLine is what the driver prints when no sensor answers.
func CameraProbeLine(at time.Duration, code int) LogLine {
	return LogLine{Level: Error, At: at, Tag: "camera",
		Text: fmt.Sprintf("Camera probe failed with error 0x%x(%s)", code, CameraName(code))}
}

// CameraLateLine is what the driver prints when a frame does not come within
// four seconds, which is what a cut supply looks like to it.
func CameraLateLine(at time.Duration) LogLine {
	return LogLine{Level: Warning, At: at, Tag: "cam_hal", Text: "Failed to get the frame on time!"}
}

// Reason codes of the Wi-Fi driver (esp32-wire 3.4).
const (
	WiFiAuthExpire    = 2
	WiFiAssocLeave    = 8
	WiFiHandshake     = 15
	WiFiBeaconTimeout = 200
	WiFiNoAP          = 201
	WiFiAuthFail      = 202
)

var wifiNames = map[int]string{
	WiFiAuthExpire: "AUTH_EXPIRE", WiFiAssocLeave: "ASSOC_LEAVE", WiFiHandshake: "4WAY_HANDSHAKE_TIMEOUT",
	WiFiBeaconTimeout: "BEACON_TIMEOUT", WiFiNoAP: "NO_AP_FOUND", WiFiAuthFail: "AUTH_FAIL",
}

// WiFiName gives the driver's name of a reason.
func WiFiName(reason int) string {
	if s, ok := wifiNames[reason]; ok {
		return s
	}
	return fmt.Sprintf("reason %d", reason)
}

var resetNames = map[uint8]string{
	0x1: "poweron", 0x3: "software", 0x4: "watchdog", 0x5: "deepsleep", 0x6: "sdio",
	0x7: "watchdog", 0x8: "watchdog", 0x9: "watchdog", 0xB: "watchdog", 0xC: "software",
	0xD: "watchdog", 0xE: "external", 0xF: "brownout", 0x10: "watchdog",
}

// ResetName gives the word of the boot line for the ROM's reset reason. A panic
// has the same reason as a restart; the application knows which it was and says
// "panic" itself.
func ResetName(rst uint8) string {
	if s, ok := resetNames[rst]; ok {
		return s
	}
	return "unknown"
}

// Clean makes foreign text safe for a line that does not quote: bytes outside
// 0x20..0x7E become '?'.
func Clean(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < 0x20 || c > 0x7E {
			b[i] = '?'
		}
	}
	return string(b)
}
