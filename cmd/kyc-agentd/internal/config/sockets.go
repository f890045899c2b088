package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/store"
)

// Socket is a socket that you can give to a program instead of the agent's own: [[sockets]] in
// config.toml. It is $XDG_RUNTIME_DIR/kyc-agentd/sockets/NAME/agent.sock, beside the agent's
// own if that is elsewhere, in a folder that has nothing else in it, so that a container can
// mount the folder, read-only. It answers with the status of its environments and with what
// Allow names, and refuses everything else: nothing that changes the agent, such as a
// sign-in or a reload, passes it.
//
// The daemon makes these sockets. `kyc-agentd reload` adds and removes them, and closes the
// connections of one that was removed or changed.
type Socket struct {
	// Name is the name of the folder: lower-case letters, digits, '-' and '_', at most 63
	// bytes. Required. Two sockets of one name are an error, and so is "extra" beside
	// ForwardEnvironments, which is that socket.
	Name SocketName `toml:"name"`
	// Environments are the environments that it is about: ["staging"]. Required. One that is
	// not configured is an error.
	Environments []string `toml:"environments"`
	// Allow is what it gives: "token" (tokens in every format but "aws", and for every helper),
	// "aws" (AWS credentials), "api" (requests that the agent forwards to the API, so that
	// the program never has a token). Required; at least one. Access tokens and API keys are
	// never handed out, and no more than 30 minutes of min_valid.
	Allow []SocketAccess `toml:"allow"`
	// Methods are the HTTP methods that "api" forwards: ["GET", "POST"]. Default: all that
	// the agent forwards. HEAD goes with GET. Without "api", and in lower case, they are an
	// error.
	Methods []APIMethod `toml:"methods"`
	// Paths are the paths to which "api" forwards: ["/kyc", "/kyc/watchlists/*"]. Default:
	// all. A path is relative to APIURL and matches as a whole, without its query; a "*" is
	// exactly one segment. Headers by which servers take another method or path, such as
	// X-HTTP-Method-Override and X-Original-URL, are removed on every such socket. Without
	// "api", with "..", "//" or a %-escape they are an error.
	Paths []APIPath `toml:"paths"`
	// Rate is how many requests it forwards, or answers with a token, in a time: "60/1m". More
	// are refused with the status 429 and Retry-After. Others do not count. Default: no limit. From 1 to 100000 requests in 1s to 24h.
	Rate SocketRate `toml:"rate"`
	// Confirm lets no program use this socket that you have not approved, as that of an
	// environment does: true or false. Default false.
	Confirm bool `toml:"confirm"`

	at string // file:line, for errors
}

// The kinds of a Socket's values.
type (
	// SocketName is the name of a socket.
	SocketName = Text[socketNameKind]
	// SocketAccess is what a socket may give.
	SocketAccess = Text[accessKind]
	// APIMethod is an HTTP method.
	APIMethod = Text[methodKind]
	// APIPath is a pattern of paths.
	APIPath = Text[apiPathKind]
	// SocketRate is a number of requests in a time.
	SocketRate = Text[rateKind]
)

type socketNameKind struct{}

func (socketNameKind) check(s string) error {
	if !store.ValidKey(s) { // the rule for names of environments
		return fmt.Errorf("bad name %q; a name is lower-case letters, digits, '-' and '_', at most 63 bytes", s)
	}
	return nil
}

type accessKind struct{}

func (accessKind) check(s string) error { return agent.Access(s).Check() }

type methodKind struct{}

func (methodKind) check(s string) error { return agent.CheckMethod(s) }

type apiPathKind struct{}

func (apiPathKind) check(s string) error {
	_, err := agent.ParsePathPattern(s)
	return err
}

type rateKind struct{}

func (rateKind) check(s string) error {
	_, err := agent.ParseRate(s)
	return err
}

// policy returns what s means.
func (s Socket) policy() (p agent.Policy, err error) {
	p = agent.Policy{Socket: s.Name.s, Environments: s.Environments, Confirm: s.Confirm}
	for _, a := range s.Allow {
		p.Allow = append(p.Allow, agent.Access(a.s))
	}
	for _, m := range s.Methods {
		p.Methods = append(p.Methods, m.s)
	}
	for _, text := range s.Paths {
		pattern, err := agent.ParsePathPattern(text.s)
		if err != nil {
			return agent.Policy{}, fmt.Errorf("paths: %w", err)
		}
		p.Paths = append(p.Paths, pattern)
	}
	if s.Rate.s != "" {
		if p.Rate, err = agent.ParseRate(s.Rate.s); err != nil {
			return agent.Policy{}, fmt.Errorf("rate: %w", err)
		}
	}
	return p, p.Check()
}

// check checks what depends on several keys, and on c.
func (s Socket) check(c Config) error {
	if s.Name.s == "" {
		return errors.New("name is missing")
	}
	// An empty list may be meant to forward nothing, and would forward everything.
	for key, empty := range map[string]bool{"methods": s.Methods != nil && len(s.Methods) == 0, "paths": s.Paths != nil && len(s.Paths) == 0} {
		if empty {
			return fmt.Errorf(`%s is empty; leave it out for all, or take "api" out of allow for none`, key)
		}
	}
	if _, err := s.policy(); err != nil {
		return err
	}
	for _, name := range s.Environments {
		if _, ok := c.Environments[name]; !ok {
			return fmt.Errorf("no environment %q is configured; configured: %s", name, strings.Join(c.Names(), ", "))
		}
	}
	if s.Name.s == agent.ForwardingSocket && len(c.ForwardEnvironments) > 0 {
		return errors.New("forward_environments is this socket already; give this one another name")
	}
	return nil
}

// checkSockets checks all sockets.
func (c Config) checkSockets() error {
	for i, s := range c.Sockets {
		err := s.check(c)
		if same := func(o Socket) bool { return o.Name == s.Name }; err == nil && slices.ContainsFunc(c.Sockets[:i], same) {
			err = errors.New("there is another socket of this name; give each its own")
		}
		if err != nil {
			return Errorf("%s: sockets (no. %d, %q): %v", s.at, i+1, s.Name.s, err)
		}
	}
	return nil
}

// Policies returns the policies of all sockets but the agent's own, in ascending order of name.
func (c Config) Policies() (all []agent.Policy) {
	if len(c.ForwardEnvironments) > 0 {
		all = append(all, agent.ForwardingPolicy(c.ForwardEnvironments...))
	}
	for _, s := range c.Sockets {
		p, _ := s.policy() // checked before
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b agent.Policy) int { return strings.Compare(a.Socket, b.Socket) })
	return all
}

// locateSockets notes where each [[sockets]] begins. One in an inline array has the place of
// the whole array.
func (c *Config) locateSockets(file string, data []byte) {
	var lines []int
	p := &unstable.Parser{}
	p.Reset(data)
	for p.NextExpression() {
		key := p.Expression().Key()
		if !key.Next() || string(key.Node().Data) != "sockets" || !key.IsLast() {
			continue
		}
		line := p.Shape(key.Node().Raw).Start.Line
		if p.Expression().Kind == unstable.KeyValue {
			lines = slices.Repeat([]int{line}, len(c.Sockets))
		} else {
			lines = append(lines, line)
		}
	}
	for i := range c.Sockets {
		c.Sockets[i].at = file
		if i < len(lines) {
			c.Sockets[i].at = fmt.Sprintf("%s:%d", file, lines[i])
		}
	}
}
