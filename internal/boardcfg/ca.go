package boardcfg

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// Pool gives the certificates to trust; nil without a CA.
func (c Config) Pool() (*x509.CertPool, error) {
	if c.CA == "" {
		return nil, nil
	}
	if why := checkCA(c.CA); why != "" {
		return nil, &Error{Key: KeyCA, Why: why}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(c.CA))
	return pool, nil
}

// checkCA wants nothing but certificates: a private key that ends up in a
// board's flash by mistake should be noticed before it is written.
func checkCA(s string) string {
	if s == "" {
		return ""
	}
	if len(s) > maxCA {
		return fmt.Sprintf("%d bytes, want at most %d", len(s), maxCA)
	}
	rest := []byte(s)
	for n := 0; ; n++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil && n == 0:
			return "holds no PEM block"
		case block == nil:
			return ""
		case block.Type != "CERTIFICATE":
			return fmt.Sprintf("PEM block %d is a %.32q, want a certificate", n+1, block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Sprintf("certificate %d is not valid", n+1)
		}
	}
}
