package daemon

import (
	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/store/file"
	"github.com/legaltalent/kyc-agent/store/kubernetes"
	"github.com/legaltalent/kyc-agent/store/postgres"
	"github.com/legaltalent/kyc-agent/store/shared"
	"github.com/legaltalent/kyc-agent/store/shared/seal"
)

// openFleet returns this agent's part in the fleet that the configuration names, or nil. It makes
// no connection.
func (d *daemon) openFleet() (*shared.Fleet, error) {
	if !d.started.Shared() {
		return nil, nil
	}
	ids, _, err := file.FindIdentity(d.opts.Vars.Get, d.started.KeyFile(d.opts.Vars))
	if err != nil {
		return nil, fleetError(err)
	}
	sealer, err := seal.New(ids...)
	if err != nil {
		return nil, fleetError(err)
	}
	engine, err := d.openEngine(d.started)
	if err != nil {
		return nil, fleetError(err)
	}
	return shared.New(shared.Options{
		Engine: engine, Sealer: sealer, Local: d.store, Member: d.started.Member(), Logger: d.log,
	}), nil
}

func (d *daemon) openEngine(c config.Config) (shared.Engine, error) {
	if c.Store.String() == "postgres" {
		options, err := c.Postgres(d.opts.Vars)
		if err != nil {
			return nil, err
		}
		return postgres.Open(options)
	}
	options := c.Kubernetes(d.opts.Vars)
	options.Logger = d.log
	return kubernetes.Open(options)
}

func fleetError(err error) error {
	return &agent.Error{Code: agent.CodeConfiguration, Op: "store", Message: err.Error(), Err: err}
}
