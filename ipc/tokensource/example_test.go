package tokensource_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/socket"
	"github.com/legaltalent/kyc-agent/ipc/tokensource"
)

// The examples find an agent on its usual socket, which has a token for an API.
func TestMain(m *testing.M) {
	os.Exit(withAgent(m.Run))
}

func withAgent(run func() int) int {
	dir, err := os.MkdirTemp("", "kyc-source-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	ln, err := socket.Listen(path)
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(&api{good: "token-0"})
	defer server.Close()
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	defer serving.Wait()
	defer stop()
	serving.Go(func() {
		_ = (&ipc.Server{Service: &script{apiURL: server.URL, life: time.Hour}}).Serve(ctx, ln)
	})
	_ = os.Setenv("KYC_AGENT_SOCK", path)
	return run()
}

// Every request of the client goes out with a fresh token.
func ExampleTransport() {
	ctx := context.Background()
	transport := &tokensource.Transport{Source: tokensource.Source{Environment: "prod"}}
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}

	api, err := transport.APIURL(ctx) // or write it out: "https://kyc.legaltalent.ai"
	if errors.Is(err, agent.CodeLoginRequired) {
		fmt.Println(err) // prod: not signed in; run: kyc-agentd login prod
		return
	}
	resp, err := client.Post(api+"/kyc", "application/json", strings.NewReader(`{"subject": {"full_name": "Jane Roe"}, "list_name": "ofac"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// A library that speaks OAuth 2.0 keeps the token as long as it may.
func ExampleSource() {
	source := oauth2.ReuseTokenSource(nil, &tokensource.Source{Environment: "prod"})
	token, err := source.Token()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.Type(), time.Until(token.Expiry).Round(time.Minute))
	// Output: Bearer 59m0s
}
