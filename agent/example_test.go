package agent_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/store/memory"
)

// A program signs in once and then asks for a token whenever it needs one. A real one
// has cognito.New in the place of agenttest.NewAuthenticator, and a store that lasts.
func ExampleAgent() {
	ctx := context.Background()
	a, err := agent.New(agent.Options{
		Authenticator: agenttest.NewAuthenticator(),
		Store:         memory.New(),
		Config: agent.Config{
			Environments: []agent.Environment{{
				Name: "prod", Region: "us-east-2", UserPoolID: "us-east-2_example", ClientID: "client",
				APIURL: "https://api.example.com",
			}},
			DefaultEnvironment: "prod",
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := a.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close(ctx)

	_, err = a.Token(ctx, agent.TokenRequest{})
	fmt.Println(err)
	fmt.Println("login required:", errors.Is(err, agent.CodeLoginRequired))

	err = a.Login(ctx, agent.LoginRequest{
		Username: agenttest.User,
		Password: agent.NewSecret(agenttest.Password),
	}, func(context.Context, agent.Challenge) (agent.Answers, error) {
		return nil, errors.New("this user has no second factor")
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := a.Token(ctx, agent.TokenRequest{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("token for", token.APIURL)
	fmt.Println("printed by accident:", token.IDToken)
	fmt.Println("for the Authorization header:", token.IDToken.Reveal())
	// Output:
	// prod: not signed in; run: kyc-agentd login prod
	// login required: true
	// token for https://api.example.com
	// printed by accident: [redacted]
	// for the Authorization header: id-token-2
}

// A socket that is forwarded to another machine gets a restricted service.
func ExampleRestrict() {
	ctx := context.Background()
	a, err := agent.New(agent.Options{
		Authenticator: agenttest.NewAuthenticator(),
		Store:         memory.New(),
		Config:        agenttest.Config(), // staging and prod
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close(ctx)

	forwarded := agent.Restrict(a, "staging")
	_, err = forwarded.Token(ctx, agent.TokenRequest{Environment: "prod"})
	fmt.Println(err)
	err = forwarded.Logout(ctx, agent.LogoutRequest{Environment: "staging"})
	fmt.Println(err)
	// Output:
	// tokens of prod are not for this socket, which is for forwarding: it hands out only tokens of staging; do that on the agent's own machine
	// sign-outs are not for this socket, which is for forwarding: it hands out only tokens of staging; do that on the agent's own machine
}
