package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/approval"
	"github.com/legaltalent/kyc-agent/agent/peer"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/ipc"
)

// approveOptions are the options of `approve`.
type approveOptions struct {
	life           string
	unit           string
	system         bool
	kind, on       string
	methods, paths []string
	any, json      bool
}

func (c *cli) approveCommand() *cobra.Command {
	var o approveOptions
	cmd := &cobra.Command{
		Use: "approve", Aliases: []string{"allow"}, SuggestFor: []string{"grant", "accept", "permit"},
		Short: "let a program use a sign-in", Long: usageApprove, Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(c, args); err != nil {
				return err
			}
			return c.interact(cmd, func(ctx context.Context, in *interaction, before agent.Status) error {
				defer in.openTerminal()()
				if o.unit != "" {
					return o.approveUnit(ctx, in, before)
				}
				return o.approve(ctx, in, strings.Join(args, ""))
			})
		},
		Annotations:       map[string]string{ofEnvironment: "yes"},
		ValidArgsFunction: c.completeCode(false),
	}
	cmd.Flags().StringVar(&o.life, "for", "", "")
	cmd.Flags().StringVar(&o.unit, "unit", "", "")
	cmd.Flags().BoolVar(&o.system, "system", false, "")
	cmd.Flags().StringVar(&o.kind, "kind", "", "")
	cmd.Flags().StringVar(&o.on, "on", "", "")
	cmd.Flags().StringArrayVar(&o.methods, "allow-method", nil, "")
	cmd.Flags().StringArrayVar(&o.paths, "allow-path", nil, "")
	cmd.Flags().BoolVar(&o.any, "allow-all", false, "")
	addJSONFlag(cmd, &o.json)
	for name, values := range map[string][]string{
		"for": {"30m", "8h", "30d"}, "kind": {"token", "access", "aws", "api"}, "unit": nil, "on": nil, "allow-path": nil, "allow-method": agent.APIMethods,
	} {
		_ = cmd.RegisterFlagCompletionFunc(name, completeValues(values...))
	}
	return cmd
}

func (o *approveOptions) check(c *cli, args []string) error {
	switch {
	case o.unit != "" && len(args) > 0:
		return usageError("leave one out", "a code is of one request, and --unit is for all of a unit")
	case o.unit == "" && (o.system || o.kind != "" || o.on != "" || c.env != ""):
		return usageError("add --unit, or leave them out", "--system, --kind, --on and --env go with --unit: a request has its own")
	case o.unit != "" && o.any:
		return usageError("leave it out", "without --allow-method and --allow-path --kind api is all of the API")
	}
	return nil
}

// approve shows a request, asks, and answers it. Without a code it is the only one, or the person
// has to choose.
func (o *approveOptions) approve(ctx context.Context, in *interaction, code string) error {
	terms := approval.Terms{Methods: o.methods, Paths: o.paths, Any: o.any}
	var err error
	if terms.For, err = lifeOf(o.life); err != nil {
		return err
	}
	list, err := in.cli.client().Approvals(ctx)
	if err != nil {
		return err
	}
	r, err := chosen(list, code)
	switch {
	case err != nil:
		return err
	case r == nil: // the agent knows why there is no such request
		return o.answer(ctx, in, code, terms, agent.Secret{})
	}
	if in.terminal == nil {
		return needsTerminal("approve " + r.ID)
	}
	showRequest(in, *r)
	yes, err := in.askYesNo(ctx, question(*r, terms))
	if err != nil {
		return err
	}
	if !yes {
		if err := in.cli.client().Revoke(ctx, r.ID); err != nil {
			return err
		}
		in.cli.io.say("%s: denied", r.ID)
		return nil
	}
	return withPassphrase(ctx, in, list, func(p agent.Secret) error { return o.answer(ctx, in, r.ID, terms, p) })
}

func (o *approveOptions) answer(ctx context.Context, in *interaction, code string, terms approval.Terms, passphrase agent.Secret) error {
	g, err := in.cli.client().Approve(ctx, code, terms, passphrase)
	if err != nil {
		return err
	}
	return o.report(in, g)
}

func (o *approveOptions) report(in *interaction, g approval.Grant) error {
	if o.json {
		return writeJSON(in.cli.io.shown(), g)
	}
	in.cli.io.say("%s: approved until %s for %s; to take it back: kyc-agentd revoke %s", g.ID, g.EndsAt.Local().Format("2006-01-02 15:04"), g.Subject, g.ID)
	return nil
}

// chosen returns the request with the code, or the only one. It is nil if no request has the code.
func chosen(list ipc.ApprovalList, code string) (*approval.Request, error) {
	if code == "" {
		switch len(list.Pending) {
		case 0:
			return nil, usageError("see: kyc-agentd approvals", "no request waits for an approval")
		case 1:
			return &list.Pending[0], nil
		}
		return nil, usageError("name one: kyc-agentd approve CODE; see: kyc-agentd approvals", "%d requests wait for an approval", len(list.Pending))
	}
	for i, r := range list.Pending {
		if strings.EqualFold(r.ID, strings.TrimSpace(code)) {
			return &list.Pending[i], nil
		}
	}
	return nil, nil
}

// needsTerminal is the error where nobody can be asked. There is no flag for it: a program could
// give it.
func needsTerminal(command string) error {
	return &agent.Error{Code: agent.CodeDenied, Op: "approve", Message: "no terminal to ask at", Hint: "in a terminal, run: kyc-agentd " + command}
}

// showRequest writes what is known of the program that asks.
func showRequest(in *interaction, r approval.Request) {
	in.terminal.Printf("Request %s, %s ago", r.ID, time.Since(r.AskedAt).Round(time.Second))
	line := func(name, text string) { in.terminal.Printf("  %-12s %s", name, text) }
	line("wants", r.Use.String())
	line("environment", r.Use.Environment)
	line("signed in as", cmp.Or(r.User, "nobody"))
	line("program", r.Facts.Process.String())
	for _, p := range r.Facts.Ancestors {
		line("started by", p.String())
	}
	line("unit", r.Facts.Unit.String())
	line("approves", r.Subject.String())
}

func question(r approval.Request, terms approval.Terms) string {
	what := "this"
	switch {
	case r.Use.Kind != approval.KindAPI:
	case terms.Any:
		what = "every request to the API of " + r.Use.Environment
	case len(terms.Methods)+len(terms.Paths) > 0:
		what = cmp.Or(strings.Join(terms.Methods, ", "), r.Use.Method) + " " + cmp.Or(strings.Join(terms.Paths, ", "), r.Use.Path)
	}
	return "Approve " + what + " for " + shortDuration(cmp.Or(terms.For, approval.DefaultFor)) + "?"
}

// shortDuration writes "30m" and "30d".
func shortDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strings.TrimSuffix((d/24).String(), "h0m0s") + "d"
	}
	text := d.String() // "1h0m0s"
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = strings.TrimSuffix(text, zero[1:])
		}
	}
	return text
}

// withPassphrase calls do with the passphrase, if the agent has one, and again if it was wrong.
func withPassphrase(ctx context.Context, in *interaction, list ipc.ApprovalList, do func(agent.Secret) error) error {
	if !list.Passphrase {
		return do(agent.Secret{})
	}
	return in.tryPassphrases(ctx, do)
}

// approveUnit approves each run of a unit.
func (o *approveOptions) approveUnit(ctx context.Context, in *interaction, st agent.Status) error {
	s := approval.Standing{
		Unit: peer.Unit{Name: o.unit, User: !o.system}, Socket: o.on, Kind: cmp.Or(approval.Kind(o.kind), approval.KindToken),
		Methods: o.methods, Paths: o.paths,
	}
	var err error
	if o.life == "" {
		return usageError("add --for 30d", "--unit needs --for, the time in which there is no question")
	}
	if s.For, err = lifeOf(o.life); err != nil {
		return err
	}
	if s.Environment, err = in.cli.environment(nil); err != nil {
		return err
	}
	env, err := findEnvironment(st, cmp.Or(s.Environment, st.DefaultEnvironment))
	if err != nil {
		return err
	}
	s.Environment = env.Name
	if in.terminal == nil {
		return needsTerminal("approve --unit " + o.unit + " --for " + o.life)
	}
	list, err := in.cli.client().Approvals(ctx)
	if err != nil {
		return err
	}
	in.terminal.Printf("Every run of the unit %s may have, without a question:", s.Unit)
	use := approval.Use{Environment: s.Environment, Socket: s.Socket, Kind: s.Kind, Method: strings.Join(s.Methods, ", "), Path: strings.Join(s.Paths, ", ")}
	in.terminal.Printf("  %s, as %s", use, cmp.Or(env.User, "whoever signs in"))
	if s.Unit.User {
		in.terminal.Printf("Any program of yours can start a unit of that name.")
	}
	yes, err := in.askYesNo(ctx, "Approve this for "+shortDuration(s.For)+"?")
	if err != nil || !yes {
		return cmp.Or(err, error(&agent.Error{Code: agent.CodeDenied, Op: "approve", Message: "not approved"}))
	}
	return withPassphrase(ctx, in, list, func(p agent.Secret) error {
		g, err := in.cli.client().ApproveUnit(ctx, s, p)
		if err != nil {
			return err
		}
		return o.report(in, g)
	})
}

// lifeOf reads --for. 0 is the default.
func lifeOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := config.ParseLife(text)
	if err != nil {
		return 0, usageError("run: kyc-agentd approve --help", "--for: %v", err)
	}
	return d, nil
}
