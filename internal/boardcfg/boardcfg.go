// Package boardcfg is the configuration of a board: what provisioning writes
// into the store of package nvs, and what the application reads from it.
//
// Namespace "porthole":
//
//	key       type    required  meaning and limits
//	ssid      string  yes       network name, 1 to 32 bytes
//	password  string  yes       8 to 63 characters, or 64 hex digits; empty: open network
//	host      string  yes       name or address of the server, 1 to 253 bytes
//	port      u16     yes       1 to 65535
//	path      string  no        where frames go, default /upload
//	token     string  yes       1 to 128 visible characters
//	ca        string  yes       PEM of the certificates to trust, at most 3999
//	                            bytes; empty: no TLS, for a bench only
//	interval  u32     no        milliseconds from frame to frame, 100 to
//	                            3,600,000, default 2000
//	crop      string  no        WxH+X+Y within 800x600; W a multiple of 16, H of
//	                            8, X and Y of 4 (esp32-wire 4.8); empty: all
//	name      string  no        of the board, at most 32 characters
//
// A key that must be there but may be empty (password, ca) is written empty on
// purpose by somebody who means it; a key that is missing is a mistake, and the
// board says so. The types are strict, as the firmware's own reads are.
package boardcfg

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"porthole/internal/nvs"
)

// Namespace holds the keys.
const Namespace = "porthole"

// Defaults and limits.
const (
	DefaultPath     = "/upload"
	DefaultInterval = 2 * time.Second
	MinInterval     = 100 * time.Millisecond
	MaxInterval     = time.Hour

	maxSSID  = 32
	maxHost  = 253
	maxPath  = 128
	maxToken = 128
	maxCA    = nvs.MaxString - 1
	maxName  = 32
)

// Keys in the order in which they are read, written and complained about.
const (
	KeySSID     = "ssid"
	KeyPassword = "password"
	KeyHost     = "host"
	KeyPort     = "port"
	KeyPath     = "path"
	KeyToken    = "token"
	KeyCA       = "ca"
	KeyInterval = "interval"
	KeyCrop     = "crop"
	KeyName     = "name"
)

// Config is a board's configuration.
type Config struct {
	SSID     string
	Password string // secret
	Host     string
	Port     uint16
	Path     string
	Token    string // secret
	CA       string // PEM; empty: no TLS
	Interval time.Duration
	Crop     Crop
	Name     string
}

// Error says what is wrong with one key. Its text never holds the value of a
// secret.
type Error struct {
	Key     string
	Missing bool
	Why     string
}

func (e *Error) Error() string {
	if e.Missing {
		return fmt.Sprintf("read configuration: key %q is missing", e.Key)
	}
	return fmt.Sprintf("read configuration: key %q: %s", e.Key, e.Why)
}

// Defaults fills in the optional values that are zero.
func (c Config) Defaults() Config {
	if c.Path == "" {
		c.Path = DefaultPath
	}
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	return c
}

// Validate checks every limit. The error joins one *Error per wrong key.
func (c Config) Validate() error {
	var errs []error
	for _, f := range fields {
		if why := f.check(&c); why != "" {
			errs = append(errs, &Error{Key: f.key, Why: why})
		}
	}
	return errors.Join(errs...)
}

// Faults takes the error of Read or Validate apart.
func Faults(err error) []*Error {
	var out []*Error
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			out = append(out, Faults(e)...)
		}
	} else if e, ok := errors.AsType[*Error](err); ok {
		out = append(out, e)
	}
	return out
}

// Read takes a configuration from a store. The error joins one *Error per key
// that is missing or wrong; the Config holds the keys that are right.
func Read(s *nvs.Store) (Config, error) {
	var c Config
	var errs []error
	for _, f := range fields {
		v, err := s.Lookup(Namespace, f.key)
		if err != nil {
			if f.required {
				errs = append(errs, &Error{Key: f.key, Missing: true})
			}
			continue
		}
		if v.Type() != f.typ {
			errs = append(errs, &Error{Key: f.key, Why: fmt.Sprintf("stored as %s, want %s", v.Type(), f.typ)})
			continue
		}
		if why := f.load(&c, v); why != "" {
			errs = append(errs, &Error{Key: f.key, Why: why})
			continue
		}
		if why := f.check(&c); why != "" {
			errs = append(errs, &Error{Key: f.key, Why: why})
		}
	}
	return c.Defaults(), errors.Join(errs...)
}

// Write puts a valid configuration into a store, all keys, and leaves every
// other key and namespace alone.
func (c Config) Write(s *nvs.Store) error {
	c = c.Defaults()
	if err := c.Validate(); err != nil {
		return err
	}
	for _, f := range fields {
		if err := s.Set(Namespace, f.key, f.save(&c)); err != nil {
			return fmt.Errorf("write configuration: %w", err)
		}
	}
	return nil
}

// field ties a key to its place in Config. check and load give the reason why a
// value is refused, or nothing.
type field struct {
	key      string
	typ      nvs.Type
	required bool
	load     func(*Config, nvs.Value) string
	save     func(*Config) nvs.Value
	check    func(*Config) string
}

var fields = []field{
	text(KeySSID, true, func(c *Config) *string { return &c.SSID }, checkSSID),
	text(KeyPassword, true, func(c *Config) *string { return &c.Password }, checkPassword),
	text(KeyHost, true, func(c *Config) *string { return &c.Host }, checkHost),
	{KeyPort, nvs.U16, true,
		func(c *Config, v nvs.Value) string { n, _ := v.Uint(); c.Port = uint16(n); return "" },
		func(c *Config) nvs.Value { return nvs.Int(c.Port) },
		func(c *Config) string {
			if c.Port == 0 {
				return "0 is outside 1..65535"
			}
			return ""
		}},
	text(KeyPath, false, func(c *Config) *string { return &c.Path }, checkPath),
	text(KeyToken, true, func(c *Config) *string { return &c.Token }, checkToken),
	text(KeyCA, true, func(c *Config) *string { return &c.CA }, checkCA),
	{KeyInterval, nvs.U32, false,
		func(c *Config, v nvs.Value) string {
			n, _ := v.Uint()
			c.Interval = time.Duration(n) * time.Millisecond
			return ""
		},
		func(c *Config) nvs.Value { return nvs.Int(uint32(c.Interval / time.Millisecond)) },
		func(c *Config) string {
			switch ms := c.Interval.Milliseconds(); {
			case c.Interval < MinInterval || c.Interval > MaxInterval:
				return fmt.Sprintf("%d ms is outside %d..%d", ms, MinInterval.Milliseconds(), MaxInterval.Milliseconds())
			case c.Interval%time.Millisecond != 0:
				return "is not a whole number of milliseconds"
			}
			return ""
		}},
	{KeyCrop, nvs.String, false,
		func(c *Config, v nvs.Value) string {
			s, _ := v.Text()
			crop, err := ParseCrop(s)
			if err != nil {
				return err.Error()
			}
			c.Crop = crop
			return ""
		},
		func(c *Config) nvs.Value { return nvs.Text(c.Crop.String()) },
		func(c *Config) string { return c.Crop.check() }},
	text(KeyName, false, func(c *Config) *string { return &c.Name }, checkName),
}

func text(key string, required bool, at func(*Config) *string, check func(string) string) field {
	return field{key, nvs.String, required,
		func(c *Config, v nvs.Value) string { *at(c), _ = v.Text(); return "" },
		func(c *Config) nvs.Value { return nvs.Text(*at(c)) },
		func(c *Config) string { return check(*at(c)) },
	}
}

func checkSSID(s string) string {
	if s == "" || len(s) > maxSSID || strings.IndexByte(s, 0) >= 0 {
		return fmt.Sprintf("%d bytes, want 1 to %d without NUL", len(s), maxSSID)
	}
	return ""
}

func checkPassword(s string) string {
	if s == "" || visible(s, " ") && (len(s) >= 8 && len(s) <= 63) {
		return ""
	}
	if len(s) == 64 && strings.Trim(s, "0123456789abcdefABCDEF") == "" {
		return ""
	}
	return fmt.Sprintf("%d bytes, want 8 to 63 printable characters, 64 hex digits, or nothing", len(s))
}

func checkHost(s string) string {
	switch {
	case s == "" || len(s) > maxHost:
		return fmt.Sprintf("%d bytes, want 1 to %d", len(s), maxHost)
	case !visible(s, "") || strings.ContainsAny(s, `/\@?#`):
		return "is not a name or an address: no scheme, no path, no spaces"
	}
	return ""
}

func checkPath(s string) string {
	if len(s) > maxPath || !strings.HasPrefix(s, "/") || !visible(s, "") {
		return fmt.Sprintf("must start with a slash and have at most %d visible characters", maxPath)
	}
	return ""
}

func checkToken(s string) string {
	if s == "" || len(s) > maxToken || !visible(s, "") {
		return fmt.Sprintf("%d bytes, want 1 to %d visible characters", len(s), maxToken)
	}
	return ""
}

func checkName(s string) string {
	if len(s) > maxName || !visible(s, " ") {
		return fmt.Sprintf("%d bytes, want at most %d printable characters", len(s), maxName)
	}
	return ""
}

// visible says that s has only ASCII from '!' to '~', and what is in also.
func visible(s, also string) bool {
	for i := range len(s) {
		if (s[i] <= ' ' || s[i] > '~') && strings.IndexByte(also, s[i]) < 0 {
			return false
		}
	}
	return true
}
