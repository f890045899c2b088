package ipc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/ipctest"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// A prodService has a token of the environment prod. A daemon has an agent.Agent instead.
type prodService struct{ agent.Service }

func (prodService) Token(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
	if req.Environment != "prod" {
		return agent.Token{}, &agent.Error{
			Code: agent.CodeLoginRequired, Environment: req.Environment, Message: "not signed in", Hint: "run: kyc-agentd login " + req.Environment,
		}
	}
	return agent.Token{Environment: "prod", IDToken: agent.NewSecret("eyJ.eyJ.c2ln"), APIURL: "https://kyc.example.com"}, nil
}

// A program asks for a token for every request. A test gives it an agent in memory.
func ExampleClient() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ln := ipctest.Listen()
	go (&ipc.Server{Service: prodService{}}).Serve(ctx, ln)

	client := &ipc.Client{Dial: ln.Dial} // new(ipc.Client) asks the user's agent
	token, err := client.Token(ctx, agent.TokenRequest{Environment: "prod"})
	fmt.Println(token.APIURL, token.IDToken.Reveal() != "", err)

	_, err = client.Token(ctx, agent.TokenRequest{Environment: "staging"})
	if errors.Is(err, agent.CodeLoginRequired) {
		fmt.Println(err)
	}
	// Output:
	// https://kyc.example.com true <nil>
	// staging: not signed in; run: kyc-agentd login staging
}

// A daemon listens on a private socket and serves until its context ends.
func ExampleServer() {
	dir, err := os.MkdirTemp("", "kyc-ipc-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "kyc-agentd", "agent.sock") // a daemon: socket.Path(os.Getenv)

	ln, err := socket.Listen(path)
	if err != nil {
		fmt.Println(err) // another agent answers there, or the folder is not private
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- (&ipc.Server{Service: prodService{}}).Serve(ctx, ln) }()

	token, err := (&ipc.Client{Socket: path}).Token(ctx, agent.TokenRequest{Environment: "prod"})
	fmt.Println(token.Environment, err)
	stop()
	fmt.Println("stopped:", <-served)
	// Output:
	// prod <nil>
	// stopped: <nil>
}
