package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// sendRaw writes raw to the socket at path, from a socket bound to name, and returns all
// that comes back.
func sendRaw(t *testing.T, path, name, raw string) string {
	t.Helper()
	var local *net.UnixAddr
	if name != "" {
		local = &net.UnixAddr{Name: name, Net: "unix"}
	}
	c, err := net.DialUnix("unix", local, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(c, raw)
	_ = c.CloseWrite()
	all, _ := io.ReadAll(c)
	return string(all)
}

// rawCall is a request that ends its connection.
func rawCall(method, target, body string, header ...string) string {
	head := []string{method + " " + target + " HTTP/1.1", "Host: kyc-agent", "Connection: close"}
	if body != "" {
		head = append(head, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	return strings.Join(append(head, header...), "\r\n") + "\r\n\r\n" + body
}

// TestExtraSocketOnRawBytes checks that no bytes on the extra socket get more out
// of a daemon than tokens of the environments that are named, or change anything in it.
func TestExtraSocketOnRawBytes(t *testing.T) {
	h := newFixture(t)
	for _, v := range []string{"ENDPOINT", "USER_POOL_ID", "CLIENT_ID"} {
		for _, set := range h.env {
			if value, ok := strings.CutPrefix(set, "KYC_STAGING_"+v+"="); ok {
				h.env = append(h.env, "KYC_PROD_"+v+"="+value)
			}
		}
	}
	config := filepath.Join(h.dir, ".config", "kyc-agent")
	if err := os.MkdirAll(config, 0o700); err != nil {
		t.Fatal(err)
	}
	const text = "store = \"memory\"\nforward_environments = [\"staging\"]\n[environments.staging]\nidentity_pool_id = \"us-east-2:00000000-0000-4000-8000-000000000000\"\n"
	if err := os.WriteFile(filepath.Join(config, "config.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h.daemon()
	for _, env := range []string{"staging", "prod"} {
		if got := h.run("correct horse\n", kycAgentd("login", "-u", "ana", "--password-stdin", env)); got.exit != 0 {
			t.Fatalf("%+v", got)
		}
	}
	for _, extra := range []string{
		filepath.Join(filepath.Dir(h.socket()), "agent.extra.sock"),
		socket.NamedPath(h.socket(), "extra"),
	} {
		t.Run(filepath.Base(filepath.Dir(extra)), func(t *testing.T) { attackExtraSocket(t, extra) })
	}
	for _, env := range []string{"staging", "prod"} {
		if got := sendRaw(t, h.socket(), "", rawCall("GET", "/v1/token?format=token&env="+env, "")); !strings.Contains(got, "eyJ") {
			t.Errorf("the sign-in of %s is gone: %s", env, got)
		}
	}
}

// attackExtraSocket sends what must get nothing, and asks for what it does give.
func attackExtraSocket(t *testing.T, extra string) {
	t.Helper()
	attackSocket(t, extra)
	for id, wanted := range map[string]bool{"kyc-token": true, "kyc-token.staging": true, "kyc-token.prod": false, "kyc-token.": false} {
		if got := sendRaw(t, extra, "@1a/unit/x.service/"+id, ""); strings.HasPrefix(got, "eyJ") != wanted || got != "" && !wanted {
			t.Errorf("%s: %q", id, got)
		}
	}
}

// attackSocket sends what must get nothing from any socket with a policy.
func attackSocket(t *testing.T, extra string) {
	t.Helper()
	const asJSON, asBytes = "Content-Type: application/json", "Content-Type: application/octet-stream"
	const git = "capability[]=authtype\nprotocol=https\nhost=kyc.legaltalent.ai\n"
	for name, raw := range map[string]string{
		"token":                rawCall("GET", "/v1/token?env=prod", ""),
		"two environments":     rawCall("GET", "/v1/token?env=staging&env=prod", ""),
		"semicolon":            rawCall("GET", "/v1/token?env=staging;env=prod", ""),
		"escaped":              rawCall("GET", "/v1/token?env=%70rod", ""),
		"NUL":                  rawCall("GET", "/v1/token?env=prod%00", ""),
		"upper case":           rawCall("GET", "/v1/token?env=PROD", ""),
		"HTTP/1.0":             "GET /v1/token?env=prod HTTP/1.0\r\n\r\n",
		"whole URL":            rawCall("GET", "http://kyc-agent/v1/token?env=prod", ""),
		"AWS":                  rawCall("GET", "/v1/token?env=staging&format=aws", ""),
		"AWS of another":       rawCall("GET", "/v1/token?env=prod&format=aws", ""),
		"login":                rawCall("POST", "/v1/login", `{"environment":"staging","username":"ana","password":"correct horse"}`, asJSON),
		"API key":              rawCall("POST", "/v1/login", `{"environment":"staging","api_key":"sk_x"}`, asJSON),
		"login of nowhere":     rawCall("POST", "/v1/login", `{"environment":"moon","username":"ana","password":"x"}`, asJSON),
		"answer":               rawCall("POST", "/v1/login/x", `{"answers":{}}`, asJSON),
		"watch":                rawCall("GET", "/v1/login/x", ""),
		"give up":              rawCall("DELETE", "/v1/login/x", ""),
		"account":              rawCall("POST", "/v1/account", `{"environment":"staging","action":"reset-password","username":"ana"}`, asJSON),
		"logout":               rawCall("POST", "/v1/logout", `{"environment":"staging","scope":"local"}`, asJSON),
		"logout everywhere":    rawCall("POST", "/v1/logout", `{"environment":"staging","scope":"all-devices"}`, asJSON),
		"reload":               rawCall("POST", "/v1/reload", "{}", asJSON),
		"metrics":              rawCall("GET", "/v1/metrics", ""),
		"helper exec":          rawCall("POST", "/v1/helper/exec?env=prod", "x", asBytes),
		"helper k8s":           rawCall("POST", "/v1/helper/k8s?env=prod", `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential"}`, asBytes),
		"helper git":           rawCall("POST", "/v1/helper/git", git, asBytes),
		"helper git, named":    rawCall("POST", "/v1/helper/git?env=prod", git, asBytes),
		"helper bazel":         rawCall("POST", "/v1/helper/bazel", `{"uri":"https://kyc.legaltalent.ai/"}`, asBytes),
		"helper bazel, named":  rawCall("POST", "/v1/helper/bazel?env=prod", `{"uri":"https://kyc.legaltalent.ai/"}`, asBytes),
		"helper terraform":     rawCall("POST", "/v1/helper/terraform", "kyc.legaltalent.ai", asBytes),
		"helper goauth":        rawCall("POST", "/v1/helper/goauth", "https://kyc.legaltalent.ai/", asBytes),
		"helper goauth, named": rawCall("POST", "/v1/helper/goauth?env=prod", " ", asBytes),
		"proxy":                "GET /kyc HTTP/1.1\r\nHost: staging\r\nConnection: close\r\n\r\n",
		"proxy of another":     "GET /kyc HTTP/1.1\r\nHost: prod\r\nConnection: close\r\n\r\n",
		"proxy by URL":         "GET http://prod/kyc HTTP/1.1\r\nHost: kyc-agent\r\nConnection: close\r\n\r\n",
		"proxy, host in agent": "GET http://kyc-agent/kyc HTTP/1.1\r\nHost: prod\r\nConnection: close\r\n\r\n",
		"CONNECT":              "CONNECT prod:443 HTTP/1.1\r\nHost: prod:443\r\n\r\n",
		"CONNECT to the agent": "CONNECT kyc-agent HTTP/1.1\r\nHost: kyc-agent\r\n\r\n",
		"HTTP/2":               "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"upgrade":              rawCall("GET", "/v1/token?env=prod", "", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
		"OPTIONS":              "OPTIONS * HTTP/1.1\r\nHost: kyc-agent\r\nConnection: close\r\n\r\n",
		"method override":      rawCall("GET", "/v1/logout", "", "X-HTTP-Method-Override: POST"),
		"dots":                 rawCall("GET", "/v1/x/../token?env=prod", ""),
		"two slashes":          rawCall("GET", "//v1/token?env=prod", ""),
		"smuggled":             "POST /v1/helper/git HTTP/1.1\r\nHost: kyc-agent\r\n" + asBytes + "\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + rawCall("GET", "/v1/token?env=prod", ""),
		"pipelined":            "GET /v1/metrics HTTP/1.1\r\nHost: kyc-agent\r\n\r\n" + rawCall("GET", "/v1/token?env=prod", ""),
		"two hosts":            "GET /v1/token?env=prod HTTP/1.1\r\nHost: kyc-agent\r\nHost: prod\r\n\r\n",
		"nothing":              "",
		"noise":                "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	} {
		got := sendRaw(t, extra, "", raw)
		for _, secret := range []string{"eyJ", "AccessKeyId", "kyc_agent_", "ana", "HTTP/1.1 101"} {
			if strings.Contains(got, secret) {
				t.Errorf("%s: %s in %s", name, secret, got)
			}
		}
	}
}
