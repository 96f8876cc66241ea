package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"porthole/server/adminweb"
)

// admins knows who may use the private side. Only hashes are kept.
type admins struct {
	single *[sha256.Size]byte // of Config.AdminToken, nil for none
	tokens atomic.Pointer[Tokens]
}

func (a *admins) set(single string, tokens *Tokens) {
	if single != "" {
		sum := sha256.Sum256([]byte(single))
		a.single = &sum
	}
	a.tokens.Store(tokens)
}

// SetAdminTokens replaces the tokens of Config.AdminTokens, for the next request
// on. Nil means none beside Config.AdminToken.
func (s *Server) SetAdminTokens(t *Tokens) { s.admins.tokens.Store(t) }

// openToAll tells nothing.
var openToAll = append(adminweb.Paths(), "/healthz", "/")

// only lets requests with a token pass; where there are no tokens at all, those
// that are addressed to this machine.
func (a *admins) only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens := a.tokens.Load()
		switch {
		case a.single == nil && (tokens == nil || tokens.Len() == 0):
			if !onLoopback(r.Host) {
				(&problem{http.StatusForbidden, fmt.Sprintf("addressed as %.60q", r.Host), "without an admin token the private side answers to 127.0.0.1 and localhost only"}).serve(w)
				return
			}
		case !slices.Contains(openToAll, r.URL.Path) && !a.know(tokens, r.Header.Get("Authorization")):
			(&problem{http.StatusUnauthorized, "wrong or no admin token", "send the header Authorization: Bearer TOKEN; porthole token new --admin NAME makes one"}).serve(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// know compares in constant time, with all tokens there are.
func (a *admins) know(tokens *Tokens, authorization string) bool {
	token, bearer := strings.CutPrefix(authorization, "Bearer ")
	known := false
	if a.single != nil {
		sum := sha256.Sum256([]byte(token))
		known = subtle.ConstantTimeCompare(sum[:], a.single[:]) == 1
	}
	if tokens != nil {
		_, ok := tokens.Camera(token)
		known = ok || known
	}
	return bearer && known
}
