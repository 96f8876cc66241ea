package server

import (
	"errors"
	"fmt"

	"porthole/server/picture"
)

// CheckTokens says whether [Server.SetTokens] would take t, for a caller that
// replaces several things or none.
func (s *Server) CheckTokens(t *Tokens) error {
	switch {
	case t == nil || t.Len() == 0:
		return errors.New("set tokens: none given, so no camera could upload")
	case s.cfg.Ingest.Camera != "" && t.Active(s.cfg.Ingest.Camera) == 0:
		return fmt.Errorf("set tokens: none is of the public camera %q", s.cfg.Ingest.Camera)
	}
	return nil
}

// SetTokens replaces the tokens, for the next upload on. It refuses tokens of
// which none is the public camera's.
func (s *Server) SetTokens(t *Tokens) error {
	if err := s.CheckTokens(t); err != nil {
		return err
	}
	s.tokens.Store(t)
	return nil
}

// SetPipeline replaces what makes the public pictures. Its masks are on the next
// picture that is published, also where its frame arrived before. What was kept
// of the camera for the private side is dropped. The server takes p over.
func (s *Server) SetPipeline(p *picture.Pipeline) error {
	if p == nil {
		return errors.New("set pipeline: none given")
	}
	s.pipeline.Store(p)
	s.camera(s.publicCamera()).forget()
	return nil
}
