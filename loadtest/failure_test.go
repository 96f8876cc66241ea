package loadtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"
)

func TestClassify(t *testing.T) {
	op := func(op string, err error) error {
		return &url.Error{Op: "Get", URL: "https://feed.example/", Err: &net.OpError{Op: op, Net: "tcp", Err: os.NewSyscallError(op, err)}}
	}
	for _, tt := range []struct {
		err  error
		want failure
	}{
		{nil, none},
		{op("dial", syscall.ECONNREFUSED), refused},
		{op("dial", syscall.EHOSTUNREACH), unreachable},
		{op("dial", syscall.ETIMEDOUT), timeout},
		{op("dial", syscall.EMFILE), local},
		{op("dial", syscall.EADDRNOTAVAIL), local},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "feed.example", IsNotFound: true}}, unreachable},
		{&net.OpError{Op: "remote error", Err: tls.AlertError(40)}, handshake},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, handshake},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, handshake},
		{errors.New("tls: server selected unsupported protocol version 301"), handshake},
		{op("read", syscall.ECONNRESET), reset},
		{op("write", syscall.EPIPE), reset},
		{io.EOF, closed},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), closed},
		{errors.New("http: server closed idle connection"), closed},
		{fmt.Errorf("poll: %w", context.DeadlineExceeded), timeout},
		{os.ErrDeadlineExceeded, timeout},
		{errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP status code "x"`), protocol},
		{errTooLarge, tooLarge},
		{errRunOver, unfinished},
		{context.Canceled, unfinished},
		{errors.New("novel"), other},
	} {
		if got := classify(tt.err); got != tt.want {
			t.Errorf("%v is %q, want %q", tt.err, got, tt.want)
		}
	}
	names := make(map[string]bool)
	for f := range failures {
		if names[f.String()] || f != none && f.String() == "" {
			t.Errorf("class %d has the name %q", f, f)
		}
		names[f.String()] = true
	}
}

func TestClassifyStatus(t *testing.T) {
	for code, want := range map[int]failure{200: none, 304: none, 204: status, 206: status, 301: status, 400: clientError, 499: clientError, 500: serverError, 599: serverError} {
		if got := classifyStatus(code); got != want {
			t.Errorf("%d is %q, want %q", code, got, want)
		}
	}
}
