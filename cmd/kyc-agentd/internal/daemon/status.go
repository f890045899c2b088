package daemon

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/handover"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// service adds to the status of the agent what only the daemon knows: the token files, the
// budgets of the APIs, and the servers that are not AWS's own.
type service struct {
	*agent.Agent
	daemon *daemon
}

func (s service) Status(ctx context.Context) (agent.Status, error) {
	st, err := s.Agent.Status(ctx)
	st.Images, st.ImageError = handover.Count(), s.daemon.imageError
	st.Lock = s.daemon.lock.status()
	st.Sinks = s.daemon.sinks.Status()
	st.Sockets = s.daemon.policySockets.status()
	st.APIBudgets = s.daemon.pace.Status()
	st.Network, st.Variables = config.Network(s.daemon.opts.Vars), config.Variables(s.daemon.opts.Vars)
	st.Audit, st.Hardening = s.daemon.auditStatus(), &s.daemon.hardening
	known := s.daemon.settings.Load()
	for i := range st.Environments {
		e := &st.Environments[i]
		e.Confirm = s.daemon.approvals != nil && s.daemon.approvals.Required(e.Name)
		e.Endpoints, e.NeedsRestart = maps.Clone(known.endpoints[e.Name]), maps.Clone(known.needsRestart[e.Name])
	}
	return st, err
}

// settings are by environment, and then by key of config.toml.
type settings struct {
	endpoints    map[string]map[string]string // servers that are not AWS's own
	needsRestart map[string]map[string]string // changes that a reload has not taken
}

// setEnvironments keeps the environments of c, and, for the status, the servers that are not AWS's
// own and what a reload has not taken. The rates of their APIs are in force from now on.
func (d *daemon) setEnvironments(c agent.Config, needsRestart map[string]map[string]string) {
	environments := slices.Clone(c.Environments)
	d.environments.Store(&environments)
	d.pace.Configure(environments)
	endpoints := map[string]map[string]string{}
	for _, e := range c.Environments {
		endpoints[e.Name] = config.Endpoints(e)
	}
	d.settings.Store(&settings{endpoints, needsRestart})
}

// logEndpoints logs them, and what else decides whom the agent talks to and trusts.
func (d *daemon) logEndpoints(c agent.Config) {
	for _, e := range c.Environments {
		d.logSettings("servers that are not AWS's own", config.Endpoints(e), "env", e.Name)
	}
	d.logSettings("the network goes by variables", config.Network(d.opts.Vars))
	if names := config.Variables(d.opts.Vars); names != nil {
		d.log.Info("variables override config.toml", "variables", sanitize.OneLine(strings.Join(names, " ")))
	}
}

func (d *daemon) logSettings(message string, settings map[string]string, attrs ...any) {
	if settings == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		attrs = append(attrs, name, sanitize.OneLine(settings[name]))
	}
	d.log.Info(message, attrs...)
}
