package ipc

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/helper"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// helperRequestOf returns a raw request in a helper's protocol.
func helperRequestOf(target, body string, header ...string) string {
	return rawRequest(http.MethodPost, "/v1/helper/"+target, body, append(header, "Content-Type: "+wire.MediaBytes)...)
}

// hosted returns a service that has fixture.Hosts and a token of every environment.
func hosted() *scripted {
	return &scripted{status: func(context.Context) (agent.Status, error) { return fixture.Hosts, nil }}
}

const gitCapable = "capability[]=authtype\ncapability[]=state\n"

func TestHelpers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := serveMem(t, hosted())
		end := time.Now().Add(59 * time.Minute)
		rfc, unix := end.UTC().Format(time.RFC3339), strconv.FormatInt(end.Unix(), 10)
		bazel := `{"headers":{"Authorization":["Bearer ` + fixture.JWT + `"]},"expires":"` + rfc + `"}` + "\n"
		git := "capability[]=authtype\nauthtype=Bearer\ncredential=" + fixture.JWT + "\nephemeral=1\npassword_expiry_utc=" + unix + "\n"
		header := "\nAuthorization: Bearer " + fixture.JWT + "\n\n"
		k8s := func(version string) string {
			return `{"apiVersion":"client.authentication.k8s.io/` + version + `","kind":"ExecCredential","status":{"token":"` +
				fixture.JWT + `","expirationTimestamp":"` + rfc + `"}}` + "\n"
		}
		asks := func(version string) string {
			return `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/` + version + `","spec":{"interactive":false}}`
		}
		for _, test := range []struct{ target, body, want string }{
			{"bazel", `{"uri":"https://kyc.legaltalent.ai/x"}`, bazel},
			{"bazel?operation=get&env=prod", ` {"more":[1,{}],"uri":"https://KYC.legaltalent.ai"}` + "\n", bazel},

			{"git", gitCapable + "protocol=https\nhost=kyc.legaltalent.ai\n\n", git},
			{"git?operation=get", "protocol=https\nhost=kyc.legaltalent.ai:443\npath=a=b\nwwwauth[]=Basic\n" + gitCapable + "\nprotocol=x", git},
			{"git", gitCapable + "protocol=http\nhost=127.0.0.1:8080", git},
			{"git?env=prod", gitCapable + "protocol=ftp\nprotocol=https\nhost=files.example", git},
			{"git?operation=capability", "", "version 0\ncapability authtype\n"},
			{"git", gitCapable + "protocol=https\nhost=github.com\n", ""},
			{"git", "protocol=https\nhost=github.com\n", ""},
			{"git", gitCapable + "protocol=http\nhost=kyc.legaltalent.ai\n", ""},
			{"git", gitCapable + "protocol=ssh\nhost=kyc.legaltalent.ai\n", ""},
			{"git", gitCapable + "protocol=https\nhost=kyc.legaltalent.ai.evil.example\n", ""},
			{"git", gitCapable + "protocol=https\nhost=evil.example/@kyc.legaltalent.ai\n", ""},
			{"git", gitCapable + "protocol=https\nhost=kyc.legaltalent.ai/x\n", ""},
			{"git", gitCapable + "protocol=https://kyc.legaltalent.ai/\nhost=evil.example\n", ""},
			{"git?env=staging", gitCapable + "protocol=https\nhost=kyc.legaltalent.ai\n", ""},
			{"git", gitCapable + "protocol=https\n", ""},
			{"git", "", ""},

			{"terraform", "kyc.legaltalent.ai", `{"token":"` + fixture.JWT + `"}` + "\n"},
			{"terraform", "127.0.0.1:8443\n", `{"token":"` + fixture.JWT + `"}` + "\n"},
			{"terraform", "app.terraform.io", "{}\n"},
			{"terraform", "kyc.legaltalent.ai/x", "{}\n"},
			{"terraform", "evil.example#kyc.legaltalent.ai", "{}\n"},
			{"terraform?env=staging", "kyc.legaltalent.ai", "{}\n"},

			{"goauth?env=prod", "", "https://kyc.legaltalent.ai\nhttps://files.example\nhttps://files.example:8443\nhttps://10.0.0.7\n" + header},
			{"goauth", "", "https://stg.kyc.legaltalent.ai\n" + header},
			{"goauth?env=local", "", "https://127.0.0.1:8443\nhttps://[::1]:8443\n" + header},
			{"goauth", "https://files.example:8443/mod/@v/list\n", "https://files.example:8443\n" + header},
			{"goauth?env=prod", "https://stg.kyc.legaltalent.ai/x", ""},
			{"goauth", "https://modules.example/x", ""},
			{"goauth", "http://127.0.0.1:8080/x", ""},
			{"goauth", "staging", ""},

			{"k8s?env=prod", asks("v1"), k8s("v1")},
			{"k8s", asks("v1beta1"), k8s("v1beta1")},

			{"exec?env=prod&min_valid=5m", "", "KYC_TOKEN=" + fixture.JWT + "\nKYC_API_URL=https://prod.example.com\nKYC_TOKEN_EXPIRES_AT=" + rfc + "\n"},
		} {
			a := ask(t, ln, helperRequestOf(test.target, test.body, textPlain))
			status := http.StatusOK
			if test.want == "" {
				status = http.StatusNoContent
			}
			if a.StatusCode != status || a.body != test.want || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %q: %d %q\nwant %d %q", test.target, test.body, a.StatusCode, a.body, status, test.want)
			}
		}
	})
}

func TestHelpersRefuse(t *testing.T) {
	ln := serveMem(t, hosted())
	for _, test := range []struct {
		target, body string
		code         agent.Code
		words        string
	}{
		{"docker", "", agent.CodeUsage, `no such protocol: "docker"; known: bazel, git, terraform, goauth, k8s, exec`},
		{"bazel?operation=store", "{}", agent.CodeUsage, `unknown operation "store" of bazel; known: get`},
		{"git?operation=store", "", agent.CodeUsage, "known: get, capability"},
		{"bazel?min_valid=soon", "{}", agent.CodeUsage, "soon"},
		{"git", "host=a\x00b", agent.CodeUsage, "NUL"},
		{"git", "host", agent.CodeUsage, "not key=value"},
		{"git?env=moon", gitCapable + "protocol=https\nhost=github.com\n", agent.CodeUnknownEnvironment, "configured are: local, prod, staging"},
		{"git", "protocol=https\nhost=kyc.legaltalent.ai\n", agent.CodeUsage, "use git 2.46"},
		{"git", gitCapable + "capability[]=\nprotocol=https\nhost=kyc.legaltalent.ai\n", agent.CodeUsage, "use git 2.46"},
		{"git", gitCapable + "protocol=https\nhost=twin.example\n", agent.CodeUsage, "twin-a and of twin-b"},
		{"bazel", "", agent.CodeUsage, "not a JSON object"},
		{"bazel", "{}", agent.CodeUsage, `no "uri"`},
		{"bazel", `{"URI":"https://kyc.legaltalent.ai"}`, agent.CodeUsage, `no "uri"`},
		{"bazel", `{"uri":["https://kyc.legaltalent.ai"]}`, agent.CodeUsage, "not a string"},
		{"bazel", `{"uri":"https://kyc.legaltalent.ai","uri":"https://evil.example"}`, agent.CodeUsage, "twice"},
		{"bazel", `{"uri":"https://kyc.legaltalent.ai"}{}`, agent.CodeUsage, "more in the body"},
		{"bazel", `{"uri":"https://kyc.legaltalent.ai"`, agent.CodeUsage, "not a JSON object"},
		{"bazel", `{"uri":"https://kyc.legaltalent.ai.evil.example/?q=hunter2"}`, agent.CodeUnknownEnvironment, "https://kyc.legaltalent.ai.evil.example is no host"},
		{"bazel", `{"uri":"https://u:hunter2@kyc.legaltalent.ai"}`, agent.CodeDenied, "a user or password"},
		{"bazel", `{"uri":"http://kyc.legaltalent.ai"}`, agent.CodeDenied, "plain http"},
		{"bazel", `{"uri":"https://kyc.legaltalent.ai:8443"}`, agent.CodeUnknownEnvironment, ":8443"},
		{"bazel?env=staging", `{"uri":"https://kyc.legaltalent.ai"}`, agent.CodeUnknownEnvironment, "is no host of staging"},
		{"terraform", " \n", agent.CodeUsage, "no host"},
		{"terraform?env=moon", "kyc.legaltalent.ai", agent.CodeUnknownEnvironment, "moon"},
		{"k8s", "", agent.CodeUsage, "KUBERNETES_EXEC_INFO is no ExecCredential"},
		{"k8s", `{"kind":"Pod","apiVersion":"client.authentication.k8s.io/v1"}`, agent.CodeUsage, "is no ExecCredential"},
		{"k8s", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1alpha1"}`, agent.CodeUsage,
			`asks for apiVersion \"client.authentication.k8s.io/v1alpha1\"`},
	} {
		a := ask(t, ln, helperRequestOf(test.target, test.body))
		if p := a.problem(t); p.Code != test.code || !strings.Contains(a.body, test.words) && !strings.Contains(p.Detail+p.Environment+p.Hint, test.words) ||
			strings.Contains(a.body, "hunter2") || strings.Contains(a.body, fixture.JWT) {
			t.Errorf("%s %q: %s\nwant %s, %s", test.target, test.body, a.body, test.code, test.words)
		}
	}
	for raw, status := range map[string]int{
		rawRequest("POST", "/v1/helper/bazel", "{}"):                            http.StatusUnsupportedMediaType,
		helperRequestOf("bazel", strings.Repeat(" ", wire.MaxBody+1)):           http.StatusRequestEntityTooLarge,
		rawRequest("GET", "/v1/helper/bazel", ""):                               http.StatusMethodNotAllowed,
		helperRequestOf("", "{}"):                                               http.StatusNotFound,
		helperRequestOf("bazel/x", "{}"):                                        http.StatusNotFound,
		helperRequestOf("bazel?environment=prod", "{}"):                         http.StatusBadRequest,
		rawRequest("POST", "/v1/login", "{}", "Content-Type: "+wire.MediaBytes): http.StatusUnsupportedMediaType,
	} {
		if a := ask(t, ln, raw); a.StatusCode != status {
			t.Errorf("%q: %d, want %d", raw[:60], a.StatusCode, status)
		}
	}
}

// An error of the service is passed on in every protocol, without a token.
func TestHelpersHandErrorsOn(t *testing.T) {
	bodies := map[string]string{
		"bazel": `{"uri":"https://kyc.legaltalent.ai"}`, "git": gitCapable + "protocol=https\nhost=kyc.legaltalent.ai\n",
		"terraform": "kyc.legaltalent.ai", "goauth": "https://kyc.legaltalent.ai",
		"k8s": `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1"}`, "exec": "",
	}
	for _, code := range wire.Codes() {
		fail := &agent.Error{Code: code, Environment: "prod", Message: "cause", Hint: "run: this"}
		service := failing(fail)
		service.status = hosted().status
		w := newWitness(t, &Server{Service: service})
		for _, protocol := range helper.Protocols() {
			if a := w.exchange(true, "POST", "/v1/helper/"+protocol, bodies[protocol], "Content-Type: "+wire.MediaBytes); a.StatusCode != wire.StatusOf(code) {
				t.Errorf("%s: %d, want %d", protocol, a.StatusCode, wire.StatusOf(code))
			}
			a := w.exchange(true, "POST", "/v1/helper/"+protocol, bodies[protocol], "Content-Type: "+wire.MediaBytes, textPlain)
			if a.body != "prod: cause; run: this\n" {
				t.Errorf("%s: %q", protocol, a.body)
			}
		}
	}
}

// A token that does not expire has no end in any protocol, and its warning is in a header.
func TestHelpersWithAnAPIKey(t *testing.T) {
	service := hosted()
	service.token = func(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
		return agent.Token{Environment: req.Environment, IDToken: agent.NewSecret("sk_1"), APIURL: "https://kyc.legaltalent.ai", Warning: "soon"}, nil
	}
	w := newWitness(t, &Server{Service: service})
	for target, test := range map[string]struct{ body, want string }{
		"bazel":           {`{"uri":"https://kyc.legaltalent.ai"}`, `{"headers":{"Authorization":["Bearer sk_1"]}}` + "\n"},
		"git":             {gitCapable + "protocol=https\nhost=kyc.legaltalent.ai\n", "capability[]=authtype\nauthtype=Bearer\ncredential=sk_1\nephemeral=1\n"},
		"terraform":       {"kyc.legaltalent.ai", `{"token":"sk_1"}` + "\n"},
		"goauth":          {"https://kyc.legaltalent.ai", "https://kyc.legaltalent.ai\n\nAuthorization: Bearer sk_1\n\n"},
		"k8s":             {`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1"}`, `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"sk_1"}}` + "\n"},
		"exec?env=prod":   {"", "KYC_TOKEN=sk_1\nKYC_API_URL=https://kyc.legaltalent.ai\nKYC_TOKEN_EXPIRES_AT=\n"},
		"goauth?env=prod": {"", "https://kyc.legaltalent.ai\nhttps://files.example\nhttps://files.example:8443\nhttps://10.0.0.7\n\nAuthorization: Bearer sk_1\n\n"},
	} {
		a := w.exchange(true, "POST", "/v1/helper/"+target, test.body, "Content-Type: "+wire.MediaBytes)
		if a.body != test.want || a.Header.Get("Kyc-Warning") != "soon" {
			t.Errorf("%s: %q, warning %q", target, a.body, a.Header.Get("Kyc-Warning"))
		}
	}
	for target, body := range map[string]string{"terraform": "x.example", "git": "", "goauth": "https://x.example"} {
		w.exchange(true, "POST", "/v1/helper/"+target, body, "Content-Type: "+wire.MediaBytes)
	}
}

// Tools wait for 5 seconds or more: the agent answers before that.
func TestHelpersAnswerInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := hosted()
		service.token = func(ctx context.Context, _ agent.TokenRequest) (agent.Token, error) {
			<-ctx.Done()
			return agent.Token{}, ctx.Err()
		}
		ln := serveMem(t, service)
		for _, raw := range []string{
			helperRequestOf("bazel", `{"uri":"https://kyc.legaltalent.ai"}`), helperRequestOf("exec", ""),
			rawRequest("GET", "/v1/token?format=k8s", ""), rawRequest("GET", "/v1/token?format=google", "", textPlain),
		} {
			begin := time.Now()
			a := ask(t, ln, raw)
			if took := time.Since(begin); a.StatusCode != http.StatusServiceUnavailable || took >= 5*time.Second {
				t.Errorf("%.40q: %d after %s", raw, a.StatusCode, took)
			}
		}
	})
}
