package console

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// samples has one line per kind as a board prints it: what the firmware must
// print too, byte for byte.
var samples = []struct {
	text string
	line Line
}{
	{`I (312) porthole: boot project="porthole" version="1.4.0" reset="poweron" heap=214664 psram=4192123`,
		Line{Kind: Boot, Project: "porthole", Version: "1.4.0", Reset: "poweron", Heap: 214664, PSRAM: 4192123}},
	{`I (320) porthole: config read name="door" ssid="Harbour" host="camera.example.org" port=8443 path="/upload" interval_ms=2000 crop="" ca=1203`,
		Line{Kind: ConfigRead, Name: "door", SSID: "Harbour", Host: "camera.example.org", Port: 8443, Path: "/upload", Pace: 2 * time.Second, CA: 1203}},
	{`E (320) porthole: config missing key="ssid"`, Line{Kind: ConfigMissing, Key: "ssid"}},
	{`E (320) porthole: config wrong key="port" why="0 is outside 1..65535"`, Line{Kind: ConfigWrong, Key: "port", Why: "0 is outside 1..65535"}},
	{`E (320) porthole: config unreadable why="no nvs partition"`, Line{Kind: ConfigUnreadable, Why: "no nvs partition"}},
	{`I (330) porthole: wifi joining ssid="Caf\xc3\xa9 \x22x\x22" attempt=1`, Line{Kind: WiFiJoining, SSID: "Café \"x\"", Attempt: 1}},
	{`I (1834) porthole: wifi joined ssid="Harbour" ip="192.168.4.20" rssi=-58 channel=6 ms=1504`,
		Line{Kind: WiFiJoined, SSID: "Harbour", IP: "192.168.4.20", RSSI: -58, Channel: 6, Took: 1504 * time.Millisecond}},
	{`W (1834) porthole: wifi failed ssid="Harbour" reason=202 why="AUTH_FAIL"`, Line{Kind: WiFiFailed, SSID: "Harbour", Reason: 202, Why: "AUTH_FAIL"}},
	{`W (90001) porthole: wifi lost ssid="Harbour" reason=200 why="BEACON_TIMEOUT"`, Line{Kind: WiFiLost, SSID: "Harbour", Reason: 200, Why: "BEACON_TIMEOUT"}},
	{`I (2200) porthole: camera ready sensor="OV2640" size="800x600" ms=240`, Line{Kind: CameraReady, Sensor: "OV2640", Size: "800x600", Took: 240 * time.Millisecond}},
	{`E (2200) porthole: camera error code=0x105 why="ESP_ERR_NOT_FOUND"`, Line{Kind: CameraError, Code: 0x105, Why: "ESP_ERR_NOT_FOUND"}},
	{`W (2200) porthole: camera off`, Line{Kind: CameraOff}},
	{`I (2200) porthole: camera on`, Line{Kind: CameraOn}},
	{`I (4000) porthole: upload ok seq=7 bytes=24518 ms=1803 status=200`, Line{Kind: UploadOK, Seq: 7, Bytes: 24518, Took: 1803 * time.Millisecond, HTTP: 200}},
	{`W (4000) porthole: upload failed seq=8 status=0 code=-9984 why="X509 - Certificate verification failed, e.g. CRL, CA or signature check failed"`,
		Line{Kind: UploadFailed, Seq: 8, Code: -9984, Why: TLSText(-9984)}},
	{`I (4000) porthole: interval interval_ms=5000`, Line{Kind: Interval, Pace: 5 * time.Second}},
	{`I (4000) porthole: waves count=3`, Line{Kind: Waves, Count: 3}},
	{`I (4000) porthole: notice what="camera off" status=204`, Line{Kind: Notice, What: "camera off", HTTP: 204}},
	{`W (4000) porthole: retry what="config" attempt=2 wait_ms=4000`, Line{Kind: Retry, What: "config", Attempt: 2, Wait: 4 * time.Second}},
	{`I (4000) porthole: ota what="confirmed" version="1.4.1" why=""`, Line{Kind: OTA, What: "confirmed", Version: "1.4.1"}},
	{`W (4000) porthole: restart why="console"`, Line{Kind: Restart, Why: "console"}},
	{`I (4000) porthole: status uptime_ms=4000 wifi="up" camera="on" uploads=7 failed=1 heap=214664`,
		Line{Kind: Status, Uptime: 4 * time.Second, WiFi: "up", Camera: "on", Uploads: 7, Failed: 1, Heap: 214664}},
	{`I (4000) porthole: help why="help status reboot panic"`, Line{Kind: Help, Why: "help status reboot panic"}},
	{`W (4000) porthole: unknown command what="rm"`, Line{Kind: Unknown, What: "rm"}},
}

// The samples are the lines of testdata/lines.txt, which the firmware's own
// tests print from the same values.
func TestLinesFile(t *testing.T) {
	raw, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	var file, here []string
	for line := range strings.Lines(string(raw)) {
		if !strings.HasPrefix(line, "#") {
			file = append(file, strings.TrimSuffix(line, "\n"))
		}
	}
	for _, s := range samples {
		here = append(here, s.text)
	}
	if !slices.Equal(file, here) {
		t.Errorf("testdata/lines.txt has\n%s\nwant\n%s", strings.Join(file, "\n"), strings.Join(here, "\n"))
	}
}

func TestLines(t *testing.T) {
	seen := map[Kind]bool{}
	for _, s := range samples {
		log, ok := ParseLog(s.text)
		if !ok {
			t.Fatalf("%q is not a log line", s.text)
		}
		s.line.At = log.At
		seen[s.line.Kind] = true
		if got := s.line.String(); got != s.text {
			t.Errorf("line\n%s, want\n%s", got, s.text)
		}
		for _, text := range []string{s.text, s.text + "\r\n", s.text + "\n", s.line.Colored(), s.line.Colored() + "\r\n"} {
			if got, ok := Parse(text); !ok || got != s.line {
				t.Errorf("parsed %q as %+v, %v", text, got, ok)
			}
		}
	}
	for _, v := range vocabulary {
		if !seen[v.kind] {
			t.Errorf("no sample of %q", v.kind)
		}
	}
}

// Every field of Line belongs to some kind, and no kind has two values of one
// name.
func TestVocabulary(t *testing.T) {
	used := map[string]bool{"At": true, "Kind": true}
	for _, s := range vocabulary {
		for _, other := range vocabulary {
			if strings.HasPrefix(string(s.kind), string(other.kind)+" ") {
				t.Errorf("%q begins like %q", s.kind, other.kind)
			}
		}
		names := map[string]bool{}
		for _, f := range s.fields {
			if names[f.name] {
				t.Errorf("%q has %q twice", s.kind, f.name)
			}
			names[f.name] = true
			l := Line{}
			at := reflect.ValueOf(f.at(&l)).Pointer()
			v := reflect.ValueOf(&l).Elem()
			for i := range v.NumField() {
				if v.Field(i).Addr().Pointer() == at {
					used[v.Type().Field(i).Name] = true
				}
			}
		}
	}
	typ := reflect.TypeFor[Line]()
	for field := range typ.Fields() {
		if !used[field.Name] {
			t.Errorf("no line prints %s", field.Name)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "boot", "I", "I ", "I (12) ", "I (12) porthole:", "I (12) other: boot", "X (12) porthole: boot",
		"I (-1) porthole: camera on", "I (4294967296) porthole: camera on", "I (1 ) porthole: camera on",
		`I (1) porthole: bootproject="x"`, `I (1) porthole: boot project=x`, `I (1) porthole: boot heap="1"`,
		`I (1) porthole: boot heap=0x10`, `I (1) porthole: boot heap=`, `I (1) porthole: boot project="a`,
		`I (1) porthole: boot project="\x2"`, `I (1) porthole: boot project="\n"`, "I (1) porthole: boot project=\"\x1b\"",
		`I (1) porthole: boot heap=99999999999999`, `I (1) porthole: camera on trailing`,
		"\x1b[0;31mI (1) porthole: camera on\x1b[0m", "I (1) porthole: help why=\"" + strings.Repeat("x", MaxLine) + "\"",
	} {
		if l, ok := Parse(text); ok {
			t.Errorf("%q parsed as %+v", text, l)
		}
	}
	// Newer boards may say more, and in another order.
	l, ok := Parse(`I (1) porthole: waves extra="a b" count=2 more=7`)
	if !ok || l.Count != 2 {
		t.Errorf("unknown values: %+v, %v", l, ok)
	}
}

func TestLogLines(t *testing.T) {
	for _, c := range []struct {
		text string
		want LogLine
	}{
		{"I (29) boot: Multicore bootloader", LogLine{Level: Info, At: 29 * time.Millisecond, Tag: "boot", Text: "Multicore bootloader"}},
		{"\x1b[0;32mI (29) boot: x: y\x1b[0m", LogLine{Level: Info, At: 29 * time.Millisecond, Tag: "boot", Text: "x: y", Color: true}},
		{"E BOD: Brownout detector was triggered", LogLine{Level: Error, Untimed: true, Tag: "BOD", Text: "Brownout detector was triggered"}},
		{"D (4294967295) t: ", LogLine{Level: Debug, At: 4294967295 * time.Millisecond, Tag: "t", Text: ""}},
	} {
		got, ok := ParseLog(c.text)
		if !ok || got != c.want || got.String() != c.text {
			t.Errorf("%q: %+v, %v, back %q", c.text, got, ok, got.String())
		}
	}
}

func TestCoreLines(t *testing.T) {
	lines := TLSLines(8123*time.Millisecond, TLSAlloc)
	want := []string{
		"[  8123][E][ssl_client.cpp:37] _handle_error(): [start_ssl_client():264]: (-32512) SSL - Memory allocation failed",
		"[  8123][E][WiFiClientSecure.cpp:144] connect(): start_ssl_client: -32512",
	}
	for i, l := range append(lines, SocketLine(time.Second, ErrnoReset), DNSLine(time.Hour, "camera.example.org\x1b")) {
		text := l.String()
		if i < len(want) && text != want[i] {
			t.Errorf("line %q, want %q", text, want[i])
		}
		if got, ok := ParseCore(text + "\r\n"); !ok || got != l {
			t.Errorf("%q parsed as %+v, %v", text, got, ok)
		}
	}
	if got := SocketLine(0, ErrnoReset).Text; got != `socket error on fd 48, errno: 104, "Connection reset by peer"` {
		t.Errorf("socket line %q", got)
	}
	for _, text := range []string{"", "[1][E][f:1] f()", "[x][E][f:1] f(): t", "[1][Q][f:1] f(): t", "[1][E][f] f(): t", "[1][E] f(): t", "[1][E][:1] f(): t"} {
		if l, ok := ParseCore(text); ok {
			t.Errorf("%q parsed as %+v", text, l)
		}
	}
}

func TestBanner(t *testing.T) {
	for text, want := range map[string]Banner{
		"rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)":                           {1, "POWERON_RESET", 0x13, "SPI_FAST_FLASH_BOOT"},
		"rst:0x10 (RTCWDT_RTC_RESET),boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))": {0x10, "RTCWDT_RTC_RESET", 3, "DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2)"},
	} {
		for _, around := range []string{text, text + "\r\n", "I (123) porthole: uploa\xff\x00" + text} {
			if b, ok := ParseBanner(around); !ok || b != want || b.String() != text {
				t.Errorf("%q: %+v, %v", around, b, ok)
			}
		}
		if b, _ := ParseBanner(text); b.Download() != (want.Strap == 3) {
			t.Errorf("%q: download %v", text, b.Download())
		}
	}
	for _, text := range []string{"", "rst:", "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST", "rst:0x100 (X),boot:0x1 (Y)", "rst:0x1 (x y),boot:0x1 (Y)"} {
		if b, ok := ParseBanner(text); ok {
			t.Errorf("%q parsed as %+v", text, b)
		}
	}
}

func samplePanic() Panic {
	p := Panic{Core: 1, Reason: "LoadProhibited", ELF: "7b1eed647e97babc",
		Backtrace: []PanicFrame{{0x400d467a, 0x3ffb1ea0}, {0x400d1f01, 0x3ffb1ec0}}}
	for i := range p.Registers {
		p.Registers[i] = 0x400d0000 + uint32(i)
	}
	return p
}

func TestPanic(t *testing.T) {
	p := samplePanic()
	text := p.String()
	for _, want := range []string{
		"Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled.\r\n\r\nCore  1 register dump:\r\n" +
			"PC      : 0x400d0000  PS      : 0x400d0001  A0      : 0x400d0002  A1      : 0x400d0003  \r\n",
		"EXCVADDR: 0x400d0014  LBEG    : 0x400d0015  LEND    : 0x400d0016  LCOUNT  : 0x400d0017  \r\n",
		"\r\nBacktrace: 0x400d467a:0x3ffb1ea0 0x400d1f01:0x3ffb1ec0\r\n",
		"\r\nELF file SHA256: 7b1eed647e97babc\r\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("panic\n%s\nlacks %q", text, want)
		}
	}
	check := func(text string, want Panic) {
		t.Helper()
		if got, ok := ParsePanic(text); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("parsed\n%+v, want\n%+v", got, want)
		}
	}
	check(text+Rebooting, p)
	check(strings.ReplaceAll(text, "\r\n", "\n"), p)
	check(strings.ReplaceAll(text, "Backtrace: ", "Backtrace:"), p)
	p.Corrupted = true
	check(p.String(), p)
	if _, ok := ParsePanic("Rebooting...\r\n" + text); ok {
		t.Error("a block is found that does not come first")
	}
}

func FuzzLine(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		if l, ok := Parse(text); ok {
			again, ok := Parse(l.String())
			if !ok || again != l {
				t.Fatalf("%+v became %+v, %v", l, again, ok)
			}
		}
		if l, ok := ParseLog(text); ok {
			if again, ok := ParseLog(l.String()); !ok || again != l {
				t.Fatalf("%+v became %+v, %v", l, again, ok)
			}
		}
		if b, ok := ParseBanner(text); ok {
			if again, ok := ParseBanner(b.String()); !ok || again != b {
				t.Fatalf("%+v became %+v, %v", b, again, ok)
			}
		}
		if l, ok := ParseCore(text); ok {
			if again, ok := ParseCore(l.String()); !ok || again != l {
				t.Fatalf("%+v became %+v, %v", l, again, ok)
			}
		}
	})
}

func FuzzPanic(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := ParsePanic(text)
		if !ok {
			return
		}
		p.ELF = p.ELF[:min(len(p.ELF), elfDigits)]
		if again, ok := ParsePanic(p.String()); !ok || !reflect.DeepEqual(again, p) {
			t.Fatalf("%+v became %+v, %v", p, again, ok)
		}
	})
}
