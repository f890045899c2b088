package main

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/phantom"
)

// apiOnlyOptions are the options of `run --api-only`: the command gets a URL and a phantom
// instead of a socket.
type apiOnlyOptions struct {
	on      bool
	sandbox bool
	paths   []string
	methods []string
}

func (a *apiOnlyOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.on, "api-only", false, "")
	cmd.Flags().BoolVar(&a.sandbox, "sandbox", false, "")
	cmd.Flags().StringArrayVar(&a.paths, "allow-path", nil, "")
	cmd.Flags().StringArrayVar(&a.methods, "allow-method", nil, "")
}

const runHelp = "run: kyc-agentd run --help"

// check checks what can be known before the environment is.
func (a *apiOnlyOptions) check() error {
	if !a.on && (a.sandbox || len(a.paths) > 0 || len(a.methods) > 0) {
		return usageError("add --api-only", "--sandbox, --allow-path and --allow-method are for --api-only")
	}
	if !a.on {
		return nil
	}
	_, err := a.policy("any")
	return err
}

// policy returns what the command may do with the API of an environment.
func (a *apiOnlyOptions) policy(environment string) (agent.Policy, error) {
	p := agent.Policy{
		Socket: "of run --api-only", Environments: []string{environment}, Allow: []agent.Access{agent.AccessAPI}, Methods: a.methods,
	}
	for _, text := range a.paths {
		pattern, err := agent.ParsePathPattern(text)
		if err != nil {
			return p, usageError(runHelp, "--allow-path: %v", err)
		}
		p.Paths = append(p.Paths, pattern)
	}
	if err := p.Check(); err != nil {
		return p, usageError(runHelp, "--allow-method: %s", strings.TrimPrefix(err.Error(), "methods: "))
	}
	return p, nil
}

// runWithAPI runs the command while a port on loopback forwards its requests to the agent that
// client calls. The port is open until the last process of the command has ended: another
// program that got it meanwhile could answer in the place of the API.
func (o *runOptions) runWithAPI(ctx context.Context, program string, client *ipc.Client, signals <-chan os.Signal) error {
	st, err := client.Status(ctx)
	if err != nil {
		return err
	}
	env, err := findEnvironment(st, cmp.Or(o.environment, st.DefaultEnvironment))
	if err != nil {
		return err
	}
	policy, err := o.api.policy(env.Name)
	if err != nil {
		return err
	}
	ln, err := phantom.Listen()
	if err != nil {
		return err
	}
	server, err := phantom.NewServer(client, policy, ln)
	if err != nil {
		_ = ln.Close()
		return err
	}
	serving, stop := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(serving) })
	adoptOrphans()
	err = o.runChild(ctx, program, o.apiEnv(env.Name, server), signals)
	if left := endDescendants(); len(left) > 0 {
		o.cli.io.say("warning: these processes of the command cannot be ended: %v", left)
	}
	stop()
	served.Wait()
	return err
}

// apiEnv is this process's environment without the variables of KYC, which may hold a token or
// lead to one, and with the port and the phantom.
func (o *runOptions) apiEnv(environment string, server *phantom.Server) []string {
	env := slices.DeleteFunc(slices.Clone([]string(o.cli.vars)), func(v string) bool { return strings.HasPrefix(v, "KYC_") })
	return append(append(env, "KYC_ENV="+environment), server.Environ()...)
}
