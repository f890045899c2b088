package awscall

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
)

// gunzip is a RoundTripper that decompresses answers. The requests ask for no compression, but
// proxies and filters on the way compress answers all the same.
type gunzip struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g gunzip) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if coding := strings.ToLower(res.Header.Get("Content-Encoding")); coding == "gzip" || coding == "x-gzip" {
		res.Body = &gunzippedBody{compressed: res.Body}
		res.Header.Del("Content-Encoding")
		res.Header.Del("Content-Length")
		res.ContentLength, res.Uncompressed = -1, true
	}
	return res, nil
}

// A gunzippedBody decompresses a body. It reads nothing before its first Read.
type gunzippedBody struct {
	compressed io.ReadCloser
	plain      *gzip.Reader
}

func (b *gunzippedBody) Read(p []byte) (int, error) {
	if b.plain == nil {
		plain, err := gzip.NewReader(b.compressed)
		if err != nil {
			return 0, err
		}
		b.plain = plain
	}
	return b.plain.Read(p)
}

func (b *gunzippedBody) Close() error { return b.compressed.Close() }
