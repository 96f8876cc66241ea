package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"porthole/loadtest"
)

// samplesFile is a load run as JSON lines, for whoever watches it meanwhile. A
// nil one takes everything and writes nothing.
type samplesFile struct {
	f   *os.File
	enc *json.Encoder
	err error // the first
}

func openSamples(path string) (*samplesFile, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write samples: %w", err)
	}
	return &samplesFile{f: f, enc: json.NewEncoder(f)}, nil
}

func (s *samplesFile) add(v any) {
	if s != nil && s.err == nil {
		s.err = s.enc.Encode(v)
	}
}

// finish adds the report, which may be nil, and closes the file.
func (s *samplesFile) finish(report *loadtest.Report) error {
	if s == nil {
		return nil
	}
	if report != nil {
		s.add(report)
	}
	if err := errors.Join(s.err, s.f.Close()); err != nil {
		return fmt.Errorf("write samples: %w", err)
	}
	return nil
}
