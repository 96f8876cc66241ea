package boardcfg

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/internal/nvs"
)

func certificate(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func good(t testing.TB) Config {
	return Config{
		SSID: "Harbour", Password: "correct horse", Host: "camera.example.org", Port: 8443, Path: "/upload",
		Token: "tok-123", CA: certificate(t), Interval: 5 * time.Second, Crop: Crop{400, 296, 200, 152}, Name: "door",
	}
}

func TestRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
	}{
		{"all set", func(*Config) {}},
		{"open network, no TLS", func(c *Config) { c.Password, c.CA = "", "" }},
		{"only what is required", func(c *Config) { c.Path, c.Interval, c.Crop, c.Name = "", 0, Crop{}, "" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := good(t)
			c.change(&want)
			s := new(nvs.Store)
			if err := s.Set("nvs.net80211", "opmode", nvs.Int(uint8(2))); err != nil {
				t.Fatal(err)
			}
			if err := want.Write(s); err != nil {
				t.Fatal(err)
			}
			b, err := s.Bytes(0x5000)
			if err != nil {
				t.Fatal(err)
			}
			back, err := nvs.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Read(back)
			if err != nil || got != want.Defaults() {
				t.Errorf("read %+v, %v", got, err)
			}
			if _, err := back.Lookup("nvs.net80211", "opmode"); err != nil {
				t.Errorf("another namespace: %v", err)
			}
			if pool, err := got.Pool(); err != nil || (pool == nil) != (want.CA == "") {
				t.Errorf("pool %v, %v", pool, err)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	// Only the label tells this block from a certificate.
	block, _ := pem.Decode([]byte(certificate(t)))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: block.Bytes}))
	for _, c := range []struct {
		name   string
		change func(*Config)
		key    string // "" = accepted
	}{
		{"ssid of 32", func(c *Config) { c.SSID = strings.Repeat("x", 32) }, ""},
		{"ssid of 33", func(c *Config) { c.SSID = strings.Repeat("x", 33) }, KeySSID},
		{"no ssid", func(c *Config) { c.SSID = "" }, KeySSID},
		{"any bytes in ssid", func(c *Config) { c.SSID = "\x01\xff" }, ""},
		{"password of 7", func(c *Config) { c.Password = "1234567" }, KeyPassword},
		{"password of 63", func(c *Config) { c.Password = strings.Repeat("p", 63) }, ""},
		{"password of 64 letters", func(c *Config) { c.Password = strings.Repeat("p", 64) }, KeyPassword},
		{"password of 64 hex digits", func(c *Config) { c.Password = strings.Repeat("aF0", 21) + "1" }, ""},
		{"tab in a password", func(c *Config) { c.Password = "12345678\t" }, KeyPassword},
		{"host with a scheme", func(c *Config) { c.Host = "https://x" }, KeyHost},
		{"host with a newline", func(c *Config) { c.Host = "x\r\nEvil: 1" }, KeyHost},
		{"host of 254", func(c *Config) { c.Host = strings.Repeat("x", 254) }, KeyHost},
		{"address", func(c *Config) { c.Host = "2001:db8::1" }, ""},
		{"port 0", func(c *Config) { c.Port = 0 }, KeyPort},
		{"port 65535", func(c *Config) { c.Port = 65535 }, ""},
		{"path without slash", func(c *Config) { c.Path = "upload" }, KeyPath},
		{"path with a space", func(c *Config) { c.Path = "/a b" }, KeyPath},
		{"no token", func(c *Config) { c.Token = "" }, KeyToken},
		{"token of 129", func(c *Config) { c.Token = strings.Repeat("t", 129) }, KeyToken},
		{"key instead of a certificate", func(c *Config) { c.CA = key }, KeyCA},
		{"key behind a certificate", func(c *Config) { c.CA += key }, KeyCA},
		{"no PEM", func(c *Config) { c.CA = "MIIB" }, KeyCA},
		{"PEM of nonsense", func(c *Config) {
			c.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
		}, KeyCA},
		{"too much PEM", func(c *Config) { c.CA = strings.Repeat(c.CA, 20) }, KeyCA},
		{"99 ms", func(c *Config) { c.Interval = 99 * time.Millisecond }, KeyInterval},
		{"100 ms", func(c *Config) { c.Interval = 100 * time.Millisecond }, ""},
		{"an hour", func(c *Config) { c.Interval = time.Hour }, ""},
		{"more than an hour", func(c *Config) { c.Interval = time.Hour + time.Millisecond }, KeyInterval},
		{"half a millisecond", func(c *Config) { c.Interval += 500 * time.Microsecond }, KeyInterval},
		{"crop to the edge", func(c *Config) { c.Crop = Crop{16, 8, 784, 592} }, ""},
		{"crop over the edge", func(c *Config) { c.Crop = Crop{16, 8, 788, 592} }, KeyCrop},
		{"crop off the grid", func(c *Config) { c.Crop = Crop{24, 8, 0, 0} }, KeyCrop},
		{"name of 33", func(c *Config) { c.Name = strings.Repeat("n", 33) }, KeyName},
		{"escape in a name", func(c *Config) { c.Name = "\x1b[2J" }, KeyName},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := good(t)
			c.change(&cfg)
			faults := Faults(cfg.Validate())
			if c.key == "" && len(faults) > 0 || c.key != "" && (len(faults) != 1 || faults[0].Key != c.key) {
				t.Errorf("faults %v, want key %q", faults, c.key)
			}
			for _, f := range faults {
				for _, secret := range []string{cfg.Password, cfg.Token} {
					if len(secret) > 3 && strings.Contains(f.Error(), secret) {
						t.Errorf("%q shows a secret", f.Error())
					}
				}
			}
			err := cfg.Write(new(nvs.Store))
			if (err == nil) != (c.key == "") {
				t.Errorf("write: %v", err)
			}
		})
	}
}

func TestReadFaults(t *testing.T) {
	s := new(nvs.Store)
	_, err := Read(s)
	var keys []string
	for _, f := range Faults(err) {
		if !f.Missing {
			t.Errorf("%v is not missing", f)
		}
		keys = append(keys, f.Key)
	}
	if want := []string{KeySSID, KeyPassword, KeyHost, KeyPort, KeyToken, KeyCA}; !slices.Equal(keys, want) {
		t.Errorf("missing keys %q, want %q", keys, want)
	}
	if err := good(t).Write(s); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key string
		v   nvs.Value
		why string
	}{
		{KeyPort, nvs.Int(uint32(8443)), "stored as u32, want u16"},
		{KeyPort, nvs.Text("8443"), "stored as string, want u16"},
		{KeySSID, nvs.Bytes([]byte("x")), "stored as blob, want string"},
		{KeyInterval, nvs.Int(uint32(5)), "outside"},
		{KeyCrop, nvs.Text("1x1"), "WxH+X+Y"},
		{KeyPath, nvs.Text(""), "slash"},
	} {
		old, err := s.Lookup(Namespace, c.key)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Set(Namespace, c.key, c.v); err != nil {
			t.Fatal(err)
		}
		_, err = Read(s)
		if f := Faults(err); len(f) != 1 || f[0].Key != c.key || !strings.Contains(f[0].Why, c.why) {
			t.Errorf("%s as %s: %v", c.key, c.v.Describe(), err)
		}
		if err := s.Set(Namespace, c.key, old); err != nil {
			t.Fatal(err)
		}
	}
}

func TestParseCrop(t *testing.T) {
	for _, s := range []string{"x", "400x296", "400x296+200", "400x296+200+152+1", "400x+0+0", "-16x8+0+0", "0x0+0+0", "16x8+4+2", "99999x8+0+0", " 16x8+0+0"} {
		if c, err := ParseCrop(s); err == nil {
			t.Errorf("%q parsed as %+v", s, c)
		}
	}
	for _, s := range []string{"", "400x296+200+152", "800x600+0+0", "16x8+784+592"} {
		if c, err := ParseCrop(s); err != nil || c.String() != s {
			t.Errorf("%q became %q, %v", s, c, err)
		}
	}
}
