// Package console is what a Porthole board says on its serial console, one line
// at a time. The firmware prints these lines, the simulated board prints the
// same ones, and the harness and the dashboard parse them: whoever adds a line
// adds it here.
//
// An application line has the shape of an ESP-IDF log line with the tag
// "porthole", then the words of its kind, then key=value pairs:
//
//	I (1834) porthole: wifi joined ssid="Harbour" ip="192.168.4.20" rssi=-58 channel=6 ms=1530
//	│  │               └─ kind ──┘ └─ values, in the order of the table below
//	│  └ milliseconds since the start
//	└ level: I information, W warning, E error
//
// Values are decimal integers, or 0x-hexadecimal for error codes, or strings in
// double quotes. In a string, `"` and `\` and every byte outside 0x20..0x7E are
// written \xNN, so that nothing a server, a network name or a damaged flash says
// can move a terminal's cursor. A parser takes values in any order and ignores
// the ones it does not know, so that a board may be newer than the harness.
//
// No line holds a password or a token.
package console

import "time"

// Tag marks the application's own lines.
const Tag = "porthole"

// MaxLine is the longest line that is parsed; boards print far shorter ones.
const MaxLine = 1024

// Level is the letter of a log line.
type Level byte

// Levels.
const (
	Error   Level = 'E'
	Warning Level = 'W'
	Info    Level = 'I'
	Debug   Level = 'D'
	Verbose Level = 'V'
)

// Kind is the words that say what a line is about.
type Kind string

// The kinds, in the order in which a board that works prints them.
const (
	// Boot is the first line of the application.
	Boot Kind = "boot"
	// ConfigRead says that the configuration is complete. Interval, crop and CA
	// size tell a wrong provisioning from a right one; secrets are left out.
	ConfigRead Kind = "config read"
	// ConfigMissing and ConfigWrong name one key each; the board tries again
	// later, because the partition may be written while it runs.
	ConfigMissing Kind = "config missing"
	ConfigWrong   Kind = "config wrong"
	// ConfigUnreadable says that there is no usable store at all.
	ConfigUnreadable Kind = "config unreadable"

	WiFiJoining Kind = "wifi joining"
	WiFiJoined  Kind = "wifi joined"
	// WiFiFailed and WiFiLost carry the driver's reason code (esp32-wire 3.4).
	WiFiFailed Kind = "wifi failed"
	WiFiLost   Kind = "wifi lost"

	CameraReady Kind = "camera ready"
	CameraError Kind = "camera error"
	// CameraOff and CameraOn are edges of the shutoff switch: after CameraOff no
	// frame is captured until CameraOn and CameraReady.
	CameraOff Kind = "camera off"
	CameraOn  Kind = "camera on"

	UploadOK     Kind = "upload ok"
	UploadFailed Kind = "upload failed"
	// Interval is a new pace, from the configuration or the server's reply.
	Interval Kind = "interval"
	// Waves is how many people waved since the last upload.
	Waves Kind = "waves"
	// Notice is a message to the server that is not a frame: camera off or on.
	Notice Kind = "notice"
	// Retry says what is tried again and when.
	Retry Kind = "retry"

	OTA     Kind = "ota"
	Restart Kind = "restart"

	// Answers to what is typed on the console.
	Status  Kind = "status"
	Help    Kind = "help"
	Unknown Kind = "unknown command"
)

// Line is one application line. Fields that do not belong to its kind are zero;
// durations have millisecond resolution.
type Line struct {
	At   time.Duration // since the start of the application
	Kind Kind

	Project, Version string
	Reset            string // why the board started, see ResetName
	Heap, PSRAM      int    // bytes free

	Name, SSID, Host, Path, Crop string
	Port                         int
	CA                           int // bytes of PEM
	Key                          string
	Why                          string // a sentence
	What                         string // a word: what is retried, noticed or updated

	IP            string
	RSSI, Channel int
	Reason        int // Wi-Fi reason code

	Sensor string
	Size   string // "800x600"
	Code   int    // error code of the camera driver or of TLS

	Seq              uint64
	Bytes            int
	HTTP             int // status, 0 without an answer
	Count, Attempt   int
	Uploads, Failed  int
	Took, Wait, Pace time.Duration
	Uptime           time.Duration
	WiFi, Camera     string // "up"/"down", "on"/"off"
}

// spec is one row of the vocabulary.
type spec struct {
	kind   Kind
	level  Level
	fields []field
}

// field is a value of a line: its name and where it lives.
type field struct {
	name string
	at   func(*Line) any // *string, *int, *hex, *uint64 or *time.Duration
}

// hex marks a number that is printed in hexadecimal when it is positive.
type hex int

// vocabulary is the contract. To add a line, add a row; to change one, remember
// that boards in the field print the old one.
var vocabulary = []spec{
	{Boot, Info, []field{project, version, reset, heap, psram}},
	{ConfigRead, Info, []field{name, ssid, host, port, path, pace, crop, ca}},
	{ConfigMissing, Error, []field{key}},
	{ConfigWrong, Error, []field{key, why}},
	{ConfigUnreadable, Error, []field{why}},
	{WiFiJoining, Info, []field{ssid, attempt}},
	{WiFiJoined, Info, []field{ssid, ip, rssi, channel, took}},
	{WiFiFailed, Warning, []field{ssid, reason, why}},
	{WiFiLost, Warning, []field{ssid, reason, why}},
	{CameraReady, Info, []field{sensor, size, took}},
	{CameraError, Error, []field{code, why}},
	{CameraOff, Warning, nil},
	{CameraOn, Info, nil},
	{UploadOK, Info, []field{seq, length, took, http}},
	{UploadFailed, Warning, []field{seq, http, tlsCode, why}},
	{Interval, Info, []field{pace}},
	{Waves, Info, []field{count}},
	{Notice, Info, []field{what, http}},
	{Retry, Warning, []field{what, attempt, wait}},
	{OTA, Info, []field{what, version, why}},
	{Restart, Warning, []field{why}},
	{Status, Info, []field{uptime, wifi, camera, uploads, failed, heap}},
	{Help, Info, []field{why}},
	{Unknown, Warning, []field{what}},
}

// The values, by the names they have on the wire.
var (
	project = field{"project", func(l *Line) any { return &l.Project }}
	version = field{"version", func(l *Line) any { return &l.Version }}
	reset   = field{"reset", func(l *Line) any { return &l.Reset }}
	heap    = field{"heap", func(l *Line) any { return &l.Heap }}
	psram   = field{"psram", func(l *Line) any { return &l.PSRAM }}
	name    = field{"name", func(l *Line) any { return &l.Name }}
	ssid    = field{"ssid", func(l *Line) any { return &l.SSID }}
	host    = field{"host", func(l *Line) any { return &l.Host }}
	port    = field{"port", func(l *Line) any { return &l.Port }}
	path    = field{"path", func(l *Line) any { return &l.Path }}
	pace    = field{"interval_ms", func(l *Line) any { return &l.Pace }}
	crop    = field{"crop", func(l *Line) any { return &l.Crop }}
	ca      = field{"ca", func(l *Line) any { return &l.CA }}
	key     = field{"key", func(l *Line) any { return &l.Key }}
	why     = field{"why", func(l *Line) any { return &l.Why }}
	what    = field{"what", func(l *Line) any { return &l.What }}
	ip      = field{"ip", func(l *Line) any { return &l.IP }}
	rssi    = field{"rssi", func(l *Line) any { return &l.RSSI }}
	channel = field{"channel", func(l *Line) any { return &l.Channel }}
	reason  = field{"reason", func(l *Line) any { return &l.Reason }}
	sensor  = field{"sensor", func(l *Line) any { return &l.Sensor }}
	size    = field{"size", func(l *Line) any { return &l.Size }}
	code    = field{"code", func(l *Line) any { return (*hex)(&l.Code) }}
	tlsCode = field{"code", func(l *Line) any { return &l.Code }}
	seq     = field{"seq", func(l *Line) any { return &l.Seq }}
	length  = field{"bytes", func(l *Line) any { return &l.Bytes }}
	http    = field{"status", func(l *Line) any { return &l.HTTP }}
	count   = field{"count", func(l *Line) any { return &l.Count }}
	attempt = field{"attempt", func(l *Line) any { return &l.Attempt }}
	uploads = field{"uploads", func(l *Line) any { return &l.Uploads }}
	failed  = field{"failed", func(l *Line) any { return &l.Failed }}
	took    = field{"ms", func(l *Line) any { return &l.Took }}
	wait    = field{"wait_ms", func(l *Line) any { return &l.Wait }}
	uptime  = field{"uptime_ms", func(l *Line) any { return &l.Uptime }}
	wifi    = field{"wifi", func(l *Line) any { return &l.WiFi }}
	camera  = field{"camera", func(l *Line) any { return &l.Camera }}
)

func specOf(k Kind) *spec {
	for i := range vocabulary {
		if vocabulary[i].kind == k {
			return &vocabulary[i]
		}
	}
	return nil
}
