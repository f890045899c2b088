package daemon

import (
	"context"
	"errors"
	"fmt"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/store"
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
		return c.Postgres(d.opts.Vars)
	}
	options := c.Kubernetes(d.opts.Vars)
	options.Logger = d.log
	return kubernetes.Open(options)
}

// InitStore prepares the store that the configuration names for a fleet, and says what it did.
// dsnFile is used instead of postgres_dsn_file, unless it is "".
func InitStore(ctx context.Context, o Options, dsnFile config.SecretPath) (done string, err error) {
	d := newDaemon(o)
	if d.started, _, err = o.load(); err != nil {
		return "", err
	}
	if dsnFile.String() != "" {
		d.started.PostgresDSNFile = dsnFile
	}
	if !d.started.Shared() {
		return "", fleetError(fmt.Errorf("store = %q is for this machine alone and needs no preparation", d.started.Store.String()))
	}
	e, err := d.openEngine(d.started)
	if err != nil {
		return "", fleetError(err)
	}
	where := statustext.Store(e.Describe())
	if pg, ok := e.(*postgres.Engine); ok {
		if err := pg.Init(ctx); err != nil {
			return "", fleetError(err)
		}
		table := d.started.PostgresTable.String()
		return "sign-ins are kept " + where + "; for a role of the agents that does not own the table: GRANT SELECT, INSERT, UPDATE ON " + table + " TO ROLE", nil
	}
	if _, err := e.Get(ctx, d.started.DefaultEnvironment); err != nil {
		return "", fleetError(err)
	}
	return "the Secret is there and can be read: sign-ins are kept " + where, nil
}

func fleetError(err error) error {
	if e, ok := errors.AsType[*agent.Error](err); ok {
		return e
	}
	code := agent.CodeConfiguration
	if errors.Is(err, store.ErrUnavailable) {
		code = agent.CodeUnavailable
	}
	return &agent.Error{Code: code, Op: "store", Message: err.Error(), Err: err}
}
