package awstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const algorithm = "AWS4-HMAC-SHA256"

// A signature is an Authorization header of Signature Version 4.
type signature struct {
	keyID, scope string // scope: "20261127/us-east-2/sts/aws4_request"
	headers      []string
	value        string
}

func parseSignature(header string) (sig signature) {
	rest, _ := strings.CutPrefix(header, algorithm+" ")
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			sig.keyID, sig.scope, _ = strings.Cut(value, "/")
		case "SignedHeaders":
			sig.headers = strings.Split(value, ";")
		case "Signature":
			sig.value = value
		}
	}
	return sig
}

// signedBy returns the credentials with which a request is signed, or refuses the request.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func (s *Server) signedBy(r *http.Request, body []byte) (issued, *refusal) {
	sig := parseSignature(r.Header.Get("Authorization"))
	c, ok := s.findCredentials(sig.keyID)
	switch {
	case sig.keyID == "":
		return c, &refusal{http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token"}
	case !ok:
		return c, &refusal{http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid"}
	case r.Header.Get("X-Amz-Security-Token") != c.session || !slices.Contains(sig.headers, "x-amz-security-token"):
		return c, &refusal{http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid"}
	case !hmac.Equal([]byte(sig.value), []byte(sig.of(r, body, c.secret))):
		return c, &refusal{http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match"}
	}
	return c, nil
}

// of returns the signature that a request should have.
func (sig signature) of(r *http.Request, body []byte, secret string) string {
	text := strings.Join([]string{
		algorithm, r.Header.Get("X-Amz-Date"), sig.scope, hexSum([]byte(sig.canonical(r, body))),
	}, "\n")
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(sig.scope, "/") {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, text))
}

func (sig signature) canonical(r *http.Request, body []byte) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n" + r.URL.EscapedPath() + "\n" + canonicalQuery(r.URL.Query()) + "\n")
	for _, name := range sig.headers {
		value := r.Header.Get(name)
		switch name { // net/http takes these two out of the header
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		b.WriteString(name + ":" + strings.Join(strings.Fields(value), " ") + "\n")
	}
	b.WriteString("\n" + strings.Join(sig.headers, ";") + "\n" + hexSum(body))
	return b.String()
}

func canonicalQuery(q url.Values) string { return strings.ReplaceAll(q.Encode(), "+", "%20") }

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
