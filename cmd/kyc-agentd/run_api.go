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
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
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
	_ = cmd.RegisterFlagCompletionFunc("allow-method", completeValues(agent.APIMethods...))
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
	adoptOrphans()
	lent := lentAPI{client: client, policy: policy}
	defer lent.end()
	if o.api.sandbox {
		err = o.runSandboxed(ctx, &lent, st, signals)
	} else if err = lent.begin(phantom.Listen); err == nil {
		err = o.runChild(ctx, program, append(o.apiEnv(env.Name), lent.server.Environ()...), signals)
	}
	if left := endDescendants(); len(left) > 0 {
		o.cli.io.say("warning: these processes of the command cannot be ended: %v", left)
	}
	return err
}

// A lentAPI is the port on loopback.
type lentAPI struct {
	client *ipc.Client
	policy agent.Policy
	server *phantom.Server
	stop   context.CancelFunc
	served sync.WaitGroup
}

// begin serves on the listener that listen returns.
func (l *lentAPI) begin(listen func() (*phantom.Listener, error)) error {
	ln, err := listen()
	if err != nil {
		return err
	}
	if l.server, err = phantom.NewServer(l.client, l.policy, ln); err != nil {
		_ = ln.Close()
		return err
	}
	serving, stop := context.WithCancel(context.Background())
	l.stop = stop
	l.served.Go(func() { _ = l.server.Serve(serving) })
	return nil
}

// end closes the listener, if there is one.
func (l *lentAPI) end() {
	if l.stop != nil {
		l.stop()
		l.served.Wait()
	}
}

// apiEnv is this process's environment for the command.
func (o *runOptions) apiEnv(environment string) []string {
	return append(withoutKYC(o.cli.vars), "KYC_ENV="+environment)
}

// withoutKYC returns vars without those of KYC, which may hold a token or lead to one.
func withoutKYC(vars config.Environ) config.Environ {
	return slices.DeleteFunc(slices.Clone(vars), func(v string) bool { return strings.HasPrefix(v, "KYC_") })
}
