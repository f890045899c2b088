package ipc

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

func someCredentials(_ context.Context, req agent.TokenRequest) (agent.AWSCredentials, error) {
	return agent.AWSCredentials{
		Environment: "prod", AccessKeyID: "ASIA0123456789ABCDEF", SecretAccessKey: agent.NewSecret("a/b+c="),
		SessionToken: agent.NewSecret("IQoJ//=="), ExpiresAt: time.Date(2026, 1, 2, 3, 4, 5, 6e8, time.FixedZone("", 3600)),
		Warning: "prod: the sign-in ends in 2d",
	}, nil
}

// The answer is that of an AWS credential_process, whatever Accept asks for, and the client
// reads the same credentials from it.
func TestFormatAWS(t *testing.T) {
	got := make(chan agent.TokenRequest, 2)
	ln := serveMem(t, &scripted{aws: func(ctx context.Context, req agent.TokenRequest) (agent.AWSCredentials, error) {
		got <- req
		return someCredentials(ctx, req)
	}})
	a := ask(t, ln, rawRequest("GET", "/v1/token?format=aws&env=prod&min_valid=20m", "", textPlain))
	const want = `{"Version":1,"AccessKeyId":"ASIA0123456789ABCDEF","SecretAccessKey":"a/b+c=","SessionToken":"IQoJ//==","Expiration":"2026-01-02T02:04:05Z"}` + "\n"
	if a.StatusCode != http.StatusOK || a.body != want || a.Header.Get("Content-Type") != wire.MediaJSON {
		t.Errorf("%d %s %q", a.StatusCode, a.Header.Get("Content-Type"), a.body)
	}
	if a.Header.Get("Kyc-Environment") != "prod" || a.Header.Get("Kyc-Warning") == "" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", a.Header)
	}
	req := agent.TokenRequest{Environment: "prod", MinValid: 20 * time.Minute}
	c, err := (&Client{Dial: ln.Dial}).AWSCredentials(t.Context(), req)
	out, _ := someCredentials(t.Context(), req)
	if err != nil || c.Environment != "prod" || c.AccessKeyID != out.AccessKeyID || !c.SecretAccessKey.Equal(out.SecretAccessKey) ||
		!c.SessionToken.Equal(out.SessionToken) || !c.ExpiresAt.Equal(out.ExpiresAt.Truncate(time.Second)) || c.Warning != out.Warning {
		t.Errorf("the client made %+v of it, %v", c, err)
	}
	for range 2 {
		if r := <-got; r != req {
			t.Errorf("the service was asked for %+v", r)
		}
	}
}

// Incomplete credentials are an error.
func TestClientRefusesHalfOfTheCredentials(t *testing.T) {
	const whole = `{"Version":1,"AccessKeyId":"A","SecretAccessKey":"b","SessionToken":"c","Expiration":"2026-01-02T02:04:05Z"}`
	for _, body := range []string{
		"{}", strings.Replace(whole, `"A"`, `""`, 1), strings.Replace(whole, `"b"`, `""`, 1), strings.Replace(whole, `"c"`, `""`, 1),
		strings.Replace(whole, "2026", "soon", 1), whole[:40],
	} {
		c := &Client{Socket: "/the/socket", Dial: func(context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				_, _ = theirs.Read(make([]byte, 4096))
				_, _ = theirs.Write([]byte(rawResponse("200 OK", wire.MediaJSON, body)))
				_ = theirs.Close()
			}()
			return ours, nil
		}}
		_, err := c.AWSCredentials(t.Context(), agent.TokenRequest{})
		fixture.WantError(t, err, agent.CodeInternal, "does not speak like kyc-agentd")
	}
}

// If the exchange takes long, the answer comes in time nevertheless.
func TestFormatAWSIsAnsweredInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := serveMem(t, &scripted{aws: func(ctx context.Context, _ agent.TokenRequest) (agent.AWSCredentials, error) {
			<-ctx.Done()
			return agent.AWSCredentials{}, &agent.Error{Code: agent.CodeUnavailable, Message: "AWS has not answered yet", Err: ctx.Err()}
		}})
		began := time.Now()
		a := ask(t, ln, rawRequest("GET", "/v1/token?format=aws", "", textPlain))
		if took := time.Since(began); a.StatusCode != http.StatusServiceUnavailable || took != tokenTimeout {
			t.Errorf("%d after %s", a.StatusCode, took)
		}
	})
}
