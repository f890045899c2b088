package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer/engine"
	"github.com/legaltalent/kyc-agent/soak/fakecognito"
	"github.com/legaltalent/kyc-agent/store/file"
	"github.com/legaltalent/kyc-agent/store/postgres"
)

// A server is the engine that all agents share.
type server interface {
	Start() error
	Stop()
	Addr() string
}

// A fleet is what a run consists of.
type fleet struct {
	opts options
	dir  string
	bin  string
	pool *fakecognito.Pool // of the fleet
	solo *fakecognito.Pool // of the one agent
	pg   *engine.Postgres
	kube *engine.Kubernetes

	agents  []*agent
	alone   *agent
	asking  sync.WaitGroup
	ending  context.CancelFunc
	began   time.Time
	faults  map[string]int
	longest time.Duration // the longest partition of all agents, as it was
}

func newFleet(o options) (*fleet, error) {
	dir, err := os.MkdirTemp("", "kyc-fleet-")
	if err != nil {
		return nil, err
	}
	f := &fleet{opts: o, dir: dir, bin: filepath.Join(dir, "kyc-agentd"), faults: map[string]int{}, ending: func() {}}
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL is another user
		return nil, err
	}
	build := exec.Command("go", "build", "-trimpath", "-buildmode=exe", "-ldflags=-s -w", "-o", f.bin, "github.com/legaltalent/kyc-agent/cmd/kyc-agentd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	if f.pool, err = fakecognito.New(fakecognito.Options{Name: "fleet", Grace: o.grace, Life: o.life}); err != nil {
		return nil, err
	}
	if f.solo, err = fakecognito.New(fakecognito.Options{Name: "alone", Grace: o.grace, Life: o.life}); err != nil {
		return nil, err
	}
	if _, err := file.Keygen(filepath.Join(dir, "store.key")); err != nil {
		return nil, err
	}
	if err := f.startEngine(); err != nil {
		f.close()
		return nil, err
	}
	for i := range o.agents {
		a, err := f.newAgent(fmt.Sprintf("agent-%03d", i), f.pool, true)
		if err != nil {
			return nil, err
		}
		f.agents = append(f.agents, a)
	}
	f.alone, err = f.newAgent("alone", f.solo, false)
	return f, err
}

func (f *fleet) startEngine() (err error) {
	if f.opts.engine == "kubernetes" {
		if f.kube, err = engine.StartKubernetes(f.dir, f.opts.kube); err != nil {
			return err
		}
		return f.kube.Install("kyc-agent")
	}
	if f.pg, err = engine.StartPostgres(f.dir); err != nil {
		return err
	}
	e, err := postgres.Open(postgres.Options{DSN: f.pg.DSN("owner", 0)})
	if err == nil {
		err = e.Init(context.Background())
	}
	if err == nil {
		err = f.pg.Grant(postgres.DefaultTable)
	}
	return err
}

func (f *fleet) server() server {
	if f.kube != nil {
		return f.kube
	}
	return f.pg
}

// newAgent writes the files of one agent.
func (f *fleet) newAgent(name string, pool *fakecognito.Pool, shared bool) (*agent, error) {
	a := &agent{fleet: f, name: name, dir: filepath.Join(f.dir, name), pool: pool, shared: shared}
	for _, dir := range []string{"", "run", "state", "pod"} {
		if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o700); err != nil {
			return nil, err
		}
	}
	kind, more := "file", ""
	var err error
	if shared {
		kind = f.opts.engine
		if a.link, err = engine.NewLink(f.server().Addr()); err != nil {
			return nil, err
		}
		if f.kube != nil {
			more = fmt.Sprintf("kubernetes_credentials = %q\n", a.path("pod"))
			err = f.kube.Credentials(a.path("pod"))
		} else {
			more = fmt.Sprintf("postgres_dsn_file = %q\n", a.path("dsn"))
			err = os.WriteFile(a.path("dsn"), []byte(f.pg.DSN("agent", a.link.Port())+"\n"), 0o600)
		}
		if err != nil {
			return nil, err
		}
	}
	text := fmt.Sprintf("store = %q\nstore_key_file = %q\nfleet_member = %q\ndefault_environment = \"prod\"\n%s[environments.prod]\nregion = \"us-east-2\"\n"+
		"user_pool_id = %q\nclient_id = %q\napi_url = \"http://127.0.0.1:9\"\nendpoint = %q\n",
		kind, filepath.Join(f.dir, "store.key"), name, more, pool.ID(), pool.ClientID(), pool.URL())
	return a, os.WriteFile(a.path("config.toml"), []byte(text), 0o600)
}

// begin starts all agents, signs in on one of them and starts the clients.
func (f *fleet) begin(ctx context.Context) error {
	for _, a := range append([]*agent{f.alone}, f.agents...) {
		if err := a.start(); err != nil {
			return err
		}
	}
	for _, a := range []*agent{f.alone, f.agents[0]} {
		if err := a.login(ctx); err != nil {
			return err
		}
	}
	f.began = time.Now()
	asking, stop := context.WithCancel(ctx)
	f.ending = stop
	for _, a := range append([]*agent{f.alone}, f.agents...) {
		f.asking.Go(func() { a.ask(asking) })
	}
	return nil
}

// close ends everything and removes the files, but for the logs of a run that failed.
func (f *fleet) close() {
	f.ending()
	f.asking.Wait()
	var ending sync.WaitGroup
	for _, a := range append(f.agents, f.alone) {
		if a != nil {
			ending.Go(a.kill)
		}
	}
	ending.Wait()
	if f.pg != nil {
		f.pg.Stop()
	}
	if f.kube != nil {
		f.kube.Stop()
	}
	f.pool.Close()
	f.solo.Close()
}

// dumped reports whether the engine has a secret in what it wrote to its disk.
func (f *fleet) dumped(secrets [][]byte) (int, error) {
	var dump []byte
	var err error
	if f.kube != nil {
		dump, err = f.kube.Dump()
	} else {
		dump, err = f.pg.Dump()
	}
	for _, s := range secrets {
		if bytes.Contains(dump, s) {
			return len(dump), fmt.Errorf("the engine has a secret in clear text")
		}
	}
	return len(dump), err
}
