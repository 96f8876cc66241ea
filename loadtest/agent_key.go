package loadtest

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"time"

	"porthole/internal/cli"
)

// minToken is the shortest token of an agent, in bytes. One that the agent makes
// itself has 26 characters of 5 bits.
const minToken = 16

// NewAgentToken makes a token.
func NewAgentToken() string { return rand.Text() }

// agentKey is what agent and coordinator derive from the token that both know:
// the key of the agent's certificate, by which the coordinator knows the agent,
// and the word by which the agent knows the coordinator. Neither gives the token
// away, and no authority has to be set up.
type agentKey struct {
	private ed25519.PrivateKey
	word    string
}

func newAgentKey(token string) (agentKey, error) {
	if len(token) < minToken {
		return agentKey{}, cli.Hint(fmt.Errorf("the token has %d characters, want at least %d", len(token), minToken), "take the one that rig load agent prints")
	}
	seed, err := hkdf.Key(sha256.New, []byte(token), nil, "porthole load agent: certificate", ed25519.SeedSize)
	if err != nil {
		return agentKey{}, err
	}
	word, err := hkdf.Key(sha256.New, []byte(token), nil, "porthole load agent: word", 32)
	if err != nil {
		return agentKey{}, err
	}
	return agentKey{ed25519.NewKeyFromSeed(seed), hex.EncodeToString(word)}, nil
}

// knows compares a word in constant time.
func (k agentKey) knows(word string) bool {
	return subtle.ConstantTimeCompare([]byte(word), []byte(k.word)) == 1
}

// server returns the agent's side.
func (k agentKey) server() (*tls.Config, error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.private.Public(), k.private)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: k.private}}}, nil
}

var errOtherToken = errors.New("it has another token, or is no agent")

// client returns the coordinator's side. Names and authorities mean nothing
// here: only who has the token has the key.
func (k agentKey) client() *tls.Config {
	want := k.private.Public().(ed25519.PublicKey)
	return &tls.Config{
		MinVersion: tls.VersionTLS13, InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errOtherToken
			}
			got, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
			if !ok || subtle.ConstantTimeCompare(got, want) != 1 {
				return errOtherToken
			}
			return nil
		},
	}
}
