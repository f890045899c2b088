package kubernetes_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/engine"
	"github.com/legaltalent/kyc-agent/internal/testpeer/enginetest"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/kubernetes"
	"github.com/legaltalent/kyc-agent/store/shared"
	"github.com/legaltalent/kyc-agent/store/shared/sharedtest"
)

func open(t *testing.T, k *engine.Kubernetes, log *testlog.Buffer, port int) *kubernetes.Engine {
	t.Helper()
	return openSecret(t, k, "", log, port)
}

func openSecret(t *testing.T, k *engine.Kubernetes, secret string, log *testlog.Buffer, port int) *kubernetes.Engine {
	t.Helper()
	dir := t.TempDir()
	if err := k.Credentials(dir); err != nil {
		t.Fatal(err)
	}
	e, err := kubernetes.Open(kubernetes.Options{
		Secret: secret, Credentials: dir, Logger: slog.New(slog.NewTextHandler(log, nil)),
		Getenv: func(name string) string {
			for _, kv := range k.Environ(port) {
				if v, ok := strings.CutPrefix(kv, name+"="); ok {
					return v
				}
			}
			return ""
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestKubernetes is about a real API server. Its Role is the one that is shipped: see
// TestRoleIsLeast in packaging/kubernetes.
func TestKubernetes(t *testing.T) {
	testpeer.Long(t)
	k := enginetest.Kubernetes(t)
	log := new(testlog.Buffer)
	sharedtest.Run(t, func(t *testing.T) shared.Engine { return open(t, k, log, 0) })
	t.Run("Rights", func(t *testing.T) { rights(t, k) })
	t.Run("Verbs", func(t *testing.T) { verbs(t, k) })
	t.Run("TwoFleets", func(t *testing.T) { twoFleets(t, k) })
	t.Run("Faults", func(t *testing.T) { faults(t, k) })
	t.Run("WatchCut", func(t *testing.T) { watchCut(t, k) })
}

// rights are what the Role does not give.
func rights(t *testing.T, k *engine.Kubernetes) {
	if err := k.Apply("secrets", map[string]any{"metadata": map[string]any{"name": "other"}}); err != nil {
		t.Fatal(err)
	}
	base := "/api/v1/namespaces/" + engine.Namespace + "/secrets"
	for call, want := range map[string]int{
		"GET " + base + "/kyc-agent": http.StatusOK,
		"GET " + base + "/other":     http.StatusForbidden,
		"GET " + base:                http.StatusForbidden,
		"GET /api/v1/secrets":        http.StatusForbidden,
		"GET " + base + "?watch=1":   http.StatusForbidden,
		"GET " + base + "?watch=1&fieldSelector=metadata.name%3Dother": http.StatusForbidden,
		"DELETE " + base + "/kyc-agent":                                http.StatusForbidden,
		"POST " + base:                                                 http.StatusForbidden,
		"PUT " + base + "/other":                                       http.StatusForbidden,
		"GET /api/v1/namespaces/" + engine.Namespace + "/configmaps":   http.StatusForbidden,
	} {
		method, path, _ := strings.Cut(call, " ")
		if got, err := k.AsAgent(method, path); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", call, got, err, want)
		}
	}
}

// verbs takes each verb from the Role: the line that a person reads names it.
func verbs(t *testing.T, k *engine.Kubernetes) {
	all := []string{"get", "update", "watch"}
	defer func() {
		if err := k.Install("kyc-agent", all...); err != nil {
			t.Error(err)
		}
	}()
	for i, missing := range all {
		rest := append(append([]string{}, all[:i]...), all[i+1:]...)
		if err := k.Install("kyc-agent", rest...); err != nil {
			t.Fatal(err)
		}
		log := new(testlog.Buffer)
		e := open(t, k, log, 0)
		said := func() string {
			v, err := e.Get(within(t), "verbs")
			if err == nil {
				err = e.Swap(within(t), "verbs", v.Data, []byte(missing))
			}
			if err == nil {
				v, err = e.Watch(within(t), "verbs", []byte(missing), time.Millisecond)
				if string(v.Data) != missing {
					t.Errorf("without %s: watched %q", missing, v.Data)
				}
			}
			if err != nil && !errors.Is(err, store.ErrUnusable) {
				t.Errorf("without %s: %v is no ErrUnusable", missing, err)
			}
			if err != nil {
				return err.Error()
			}
			return log.String()
		}
		text := ""
		for began := time.Now(); time.Since(began) < time.Minute && !strings.Contains(text, "the Role needs the verb "+missing); {
			text = said() // the API server notices a changed Role a moment later
		}
		if !strings.Contains(text, "the Role needs the verb "+missing+" for this Secret") {
			t.Errorf("without %s: %s", missing, text)
		}
		if missing == "watch" && !strings.Contains(e.Describe().Advice, "watch") {
			t.Errorf("status says nothing of watch: %+v", e.Describe())
		}
	}
}

// twoFleets are in one namespace, in a Secret each: neither sees the other, and neither's rights
// are the other's.
func twoFleets(t *testing.T, k *engine.Kubernetes) {
	one := open(t, k, new(testlog.Buffer), 0)
	other := openSecret(t, k, "second-fleet", new(testlog.Buffer), 0)
	if _, err := other.Get(within(t), "two-fleets"); !errors.Is(err, store.ErrUnusable) || !strings.Contains(err.Error(), "needs the verb get for this Secret") {
		t.Errorf("without a Role: %v", err)
	}
	if err := k.Install("second-fleet"); err != nil {
		t.Fatal(err)
	}
	if err := one.Swap(within(t), "two-fleets", nil, []byte("1")); err != nil {
		t.Error(err)
	}
	ctx := within(t)
	err := other.Swap(ctx, "two-fleets", nil, []byte("2"))
	for errors.Is(err, store.ErrUnusable) && ctx.Err() == nil { // the API server notices a Role a moment later
		err = other.Swap(ctx, "two-fleets", nil, []byte("2"))
	}
	if err != nil {
		t.Error(err)
	}
	if v, err := one.Get(within(t), "two-fleets"); err != nil || string(v.Data) != "1" {
		t.Errorf("%q, %v", v.Data, err)
	}
}

// faults are those of the API server.
func faults(t *testing.T, k *engine.Kubernetes) {
	e := open(t, k, new(testlog.Buffer), 0)
	if err := k.Apply("secrets", map[string]any{"metadata": map[string]any{"name": "kyc-agent"}, "immutable": true}); err != nil {
		t.Fatal(err)
	}
	if err := e.Swap(within(t), "immutable", nil, []byte("x")); !errors.Is(err, store.ErrUnusable) || !strings.Contains(err.Error(), "immutable") {
		t.Errorf("an immutable Secret: %v", err)
	}
	path := "/api/v1/namespaces/" + engine.Namespace + "/secrets/kyc-agent"
	if err := k.Delete(path); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Get(within(t), "gone"); !errors.Is(err, store.ErrUnusable) || !strings.Contains(err.Error(), "run: kubectl create secret generic kyc-agent -n "+engine.Namespace) {
		t.Errorf("no Secret: %v", err)
	}
	if err := k.Install("kyc-agent"); err != nil {
		t.Fatal(err)
	}
	if err := e.Swap(within(t), "full", nil, bytes.Repeat([]byte("x"), 2<<20)); err == nil || strings.Contains(err.Error(), "xxx") {
		t.Errorf("more than a Secret may have: %v", err)
	}
	k.Suspend()
	defer k.Resume()
	began := time.Now()
	if _, err := e.Get(within(t), "slow"); !errors.Is(err, store.ErrUnavailable) || time.Since(began) > 8*time.Second {
		t.Errorf("etcd does not answer: %v after %s", err, time.Since(began))
	}
}

// watchCut cuts the watch every second: each change is noticed all the same.
func watchCut(t *testing.T, k *engine.Kubernetes) {
	link, err := engine.NewLink(k.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	writer, reader := open(t, k, new(testlog.Buffer), 0), open(t, k, new(testlog.Buffer), link.Port())
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for ticker := time.NewTicker(time.Second); ; {
			select {
			case <-ticker.C:
				link.Reset()
			case <-stop:
				return
			}
		}
	}()
	var writes sync.WaitGroup
	defer writes.Wait() // a change is noticed before its writer has the answer
	var known []byte
	for _, next := range []string{"1", "2", "3"} {
		old := known
		writes.Go(func() {
			time.Sleep(1500 * time.Millisecond)
			if err := writer.Swap(within(t), "cut", old, []byte(next)); err != nil {
				t.Error(err)
			}
		})
		for ctx := within(t); ; {
			v, err := reader.Watch(ctx, "cut", known, time.Second)
			if err == nil && string(v.Data) == next {
				known = v.Data
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("%s was not noticed: %v", next, err)
			}
		}
	}
}
