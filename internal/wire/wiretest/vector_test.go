package wiretest

import (
	"os"
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	b, err := os.ReadFile("../testdata/vectors/sketch-1.txt")
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	if _, err := parse(good); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"unknown key":  "colour: red\n" + good,
		"key twice":    "profile: sketch\n" + good,
		"missing key":  strings.Replace(good, "path: /upload\n", "", 1),
		"no list":      strings.ReplaceAll(good, "\n\n", "\n"),
		"broken write": good + "12\n",
		"new profile":  strings.Replace(good, "sketch", "arduino", 1),
	} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
