package apiproxy

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

// FuzzProxyPath: a path is refused, or its URL is below the base for every reader of URLs.
func FuzzProxyPath(f *testing.F) {
	for _, seed := range []string{
		"/", "/kyc?x=1", "/a%20b", "/../x", "/%2e%2e/x", "/..%2fx", "/%252e%252e/", "//evil.example/", "/..;/x", "/x\\..\\y", "/%00", "/a;b=c/d", "/%c0%ae%c0%ae/",
		"/100%2525", "/:80@evil.example/", "/?/../..", "/#/../", "/%", "/kyc/", "/a//b", "@evil.example/", ".evil.example/", ":1/",
	} {
		f.Add("/base/v1", seed)
		f.Add("", seed)
	}
	f.Fuzz(func(t *testing.T, path, target string) {
		base, err := url.Parse("https://api.example.com" + path)
		if err != nil || base.Host != "api.example.com" || checkPath(base.EscapedPath()+"/") != nil {
			return
		}
		in, err := url.ParseRequestURI(target)
		if err != nil || in.Host != "" || in.Scheme != "" {
			return
		}
		out, err := forwardURL(base, in)
		if err != nil {
			fixture.WantError(t, err, agent.CodeUsage)
			return
		}
		prefix := strings.TrimSuffix(base.EscapedPath(), "/") + "/"
		again, err := url.Parse(out.String())
		if err != nil || again.Scheme != "https" || again.Host != "api.example.com" || again.User != nil {
			t.Fatalf("%q leads to %s: %v", target, out, err)
		}
		for _, u := range []*url.URL{out, again} {
			if !strings.HasPrefix(u.EscapedPath(), prefix) || strings.HasPrefix(u.EscapedPath(), "//") || u.JoinPath().EscapedPath() != u.EscapedPath() {
				t.Fatalf("%q leads to %s, which is not below %s", target, u, prefix)
			}
			if cleaned := fmt.Sprint(u.JoinPath(".")); !strings.HasPrefix(cleaned, "https://api.example.com"+prefix[:len(prefix)-1]) {
				t.Fatalf("%q is, cleaned, %s", target, cleaned)
			}
		}
	})
}
