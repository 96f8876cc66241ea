package loadtest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
)

// failure is the class of a poll's error. The set is closed: network errors
// carry port numbers, so that their texts would be as many as their occurrences.
type failure uint8

const (
	none        failure = iota
	refused             // connection refused
	unreachable         // any other trouble to connect, and unknown names
	handshake           // TLS
	reset               // the peer reset the connection
	closed              // the connection or the body ended early
	timeout             // not done within Config.Timeout
	protocol            // an answer that is not HTTP
	clientError         // status 4xx
	serverError         // status 5xx
	status              // any other status but 200 and 304
	tooLarge            // a body above Config.MaxPicture
	damaged             // a 200 that is not a picture
	gap                 // a change of a picture that the viewer was never sent
	checksum            // a change that made another picture than the server's
	local               // this machine has no descriptors or ports left: our own fault
	other
	unfinished // cut off at the end of the run; not an error of the server
	failures   // how many there are
)

var failureNames = [failures]string{
	"", "refused", "unreachable", "tls", "reset", "closed", "timeout", "protocol",
	"status-4xx", "status-5xx", "status", "too-large", "not-a-picture", "gap", "checksum", "local", "other", "unfinished",
}

func (f failure) String() string { return failureNames[f] }

// errTooLarge ends a body above Config.MaxPicture.
var errTooLarge = errors.New("body is above the limit")

// classify returns the class of an error of the HTTP client.
func classify(err error) failure {
	if err == nil {
		return none
	}
	netErr, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, errRunOver):
		return unfinished
	case errors.Is(err, errTooLarge):
		return tooLarge
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EADDRNOTAVAIL):
		return local
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isNet && netErr.Timeout():
		return timeout
	case errors.Is(err, context.Canceled):
		return unfinished
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case isTLS(err):
		return handshake
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return unreachable
	}
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return reset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, io.ErrClosedPipe), strings.Contains(err.Error(), "server closed idle connection"):
		return closed
	case strings.Contains(err.Error(), "malformed"), strings.Contains(err.Error(), "transport connection broken"):
		return protocol // net/http has no type for these
	}
	return other
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	return strings.Contains(err.Error(), "tls: ")
}

// classifyStatus returns the class of an answer's status.
func classifyStatus(code int) failure {
	switch {
	case code == http.StatusOK, code == http.StatusNotModified:
		return none
	case code >= 500:
		return serverError
	case code >= 400:
		return clientError
	}
	return status
}
