package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
)

func TestEndpoints(t *testing.T) {
	const region, pool = "us-east-2", "us-east-2_abc"
	for name, tt := range map[string]struct {
		env  agent.Environment
		want map[string]string
	}{
		"AWS's own":               {agent.Environment{}, nil},
		"AWS's own, written down": {agent.Environment{Endpoint: "https://cognito-idp.us-east-2.amazonaws.com"}, nil},
		"a replica":               {agent.Environment{Region: "us-west-2"}, nil},
		"FIPS": {agent.Environment{Endpoint: "https://cognito-idp-fips.us-east-2.amazonaws.com"},
			map[string]string{"endpoint": "https://cognito-idp-fips.us-east-2.amazonaws.com"}},
		"another server": {agent.Environment{Endpoint: "https://cognito.evil.example"},
			map[string]string{"endpoint": "https://cognito.evil.example", "issuer": "https://cognito.evil.example/us-east-2_abc"}},
		"all of them": {agent.Environment{Endpoint: "http://[::1]:1", Issuer: "https://i.example", JWKSURL: "https://k.example", AWSEndpoint: "https://a.example"},
			map[string]string{"endpoint": "http://[::1]:1", "issuer": "https://i.example", "jwks_url": "https://k.example", "aws_endpoint": "https://a.example"}},
		"one of the two issuers": {agent.Environment{Issuer: "https://issuer-cognito-idp.us-east-2.amazonaws.com/us-east-2_abc"},
			map[string]string{"issuer": "https://issuer-cognito-idp.us-east-2.amazonaws.com/us-east-2_abc"}},
	} {
		if tt.env.Region == "" {
			tt.env.Region = region
		}
		tt.env.UserPoolID = pool
		if got := Endpoints(tt.env); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// The password of a proxy is never shown, however it is written.
func TestNetwork(t *testing.T) {
	for proxy, want := range map[string]string{
		"http://proxy.example:3128":             "http://proxy.example:3128",
		"proxy.example:3128":                    "http://proxy.example:3128",
		"http://ana:hunter2@proxy.example:3128": "http://proxy.example:3128",
		"ana:hunter2@proxy.example":             "http://proxy.example",
		"socks5://ana:hunt@er2@[::1]:1080/":     "socks5://[::1]:1080",
		"http://proxy.example/?hunter2#hunter2": "http://proxy.example",
		"http://ana:hunt/er2@proxy.example":     "set, but not a URL",
		"http://ana:12/hunter2@proxy.example":   "set, but not a URL",
		"ana:12#hunter2@proxy.example":          "set, but not a URL",
		"http://ana:12?hunter2@proxy.example":   "set, but not a URL",
		"http://ana:hunter2%zz@proxy.example":   "set, but not a URL",
	} {
		if got := Network(Environ{"HTTPS_PROXY=" + proxy, "HTTP_PROXY=http://other"}); !reflect.DeepEqual(got, map[string]string{"proxy": want}) {
			t.Errorf("%s: %v, want %s", proxy, got, want)
		}
	}
	if got := Network(Environ{"HTTP_PROXY=http://proxy.example", "NO_PROXY=x", "AWS_CA_BUNDLE=/x"}); got != nil {
		t.Errorf("%v", got)
	}
	want := map[string]string{"proxy": "http://p", "no_proxy": "a.example", "ca_file": "/etc/corp.pem", "ca_dir": "/etc/corp"}
	if runtime.GOOS == "darwin" {
		delete(want, "ca_file")
		delete(want, "ca_dir")
	}
	if got := Network(Environ{"https_proxy=p", "no_proxy=a.example", "SSL_CERT_FILE=/etc/corp.pem", "SSL_CERT_DIR=/etc/corp"}); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

func TestCheckCertificates(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"good.pem": 0o644, "bad.pem": 0o666, "good/a.pem": 0o644, "bad/a.pem": 0o644, "bad/b.pem": 0o602} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ vars, want string }{
		{"SSL_CERT_FILE=HERE/good.pem SSL_CERT_DIR=HERE/good:HERE/gone", ""},
		{"SSL_CERT_FILE=HERE/gone.pem", ""},
		{"SSL_CERT_FILE=HERE/bad.pem", "certificates: HERE/bad.pem can be written by others (mode 0666); run: chmod go-w HERE/bad.pem"},
		{"SSL_CERT_DIR=HERE/good:HERE/bad", "certificates: HERE/bad/b.pem can be written by others (mode 0602); run: chmod go-w HERE/bad/b.pem"},
	} {
		err := CheckCertificates(strings.Fields(strings.ReplaceAll(tt.vars, "HERE", dir)))
		if want := strings.ReplaceAll(tt.want, "HERE", dir); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestVariables(t *testing.T) {
	got := Variables(Environ{"KYC_PROD_ISSUER=x", "KYC_PROD_ENDPOINT=y", "KYC_PROD_ENDPOINT=z", "KYC_PROD_REGION=", "KYC_AGENT_SOCK=/x", "KYC_OTHER=1", "HOME=/h"})
	if want := []string{"KYC_PROD_ENDPOINT", "KYC_PROD_ISSUER"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
