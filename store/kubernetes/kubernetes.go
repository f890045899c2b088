// Package kubernetes is the engine of a fleet in one Secret of a Kubernetes cluster.
//
// [Open] is for a pod, which has everything in its environment and a folder, and makes no call:
//
//	engine, err := kubernetes.Open(kubernetes.Options{Secret: "kyc-agent", Getenv: os.Getenv})
//
// The Secret has to exist; each environment is one key of its data. The compare-and-swap is an
// update with the resourceVersion that was read, which the API server refuses with 409 if
// anything of the Secret has changed. A Role needs no more than the verbs get, update and watch
// on that one Secret.
//
// These are three plain REST calls. client-go, which makes them too, would add 20 MB to a
// program of 20 MB, and 46 modules to what has to be trusted with a sign-in.
package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/shared"
)

const (
	// DefaultSecret is the Secret if none is configured.
	DefaultSecret = "kyc-agent"
	// DefaultCredentials is where a pod finds its service account.
	DefaultCredentials = "/var/run/secrets/kubernetes.io/serviceaccount"
	// watchTimeout is how long one watch lasts: a connection that has died without a word is
	// noticed that late.
	watchTimeout = 30 * time.Second
	maxConflicts = 20
	// watchAgain is when a watch that was forbidden is tried again: an API server that has just
	// started forbids what it does not know to be allowed yet.
	watchAgain = time.Minute
)

// Options say where the Secret is.
type Options struct {
	Secret    string // its name; empty means DefaultSecret
	Namespace string // empty means that of the pod
	// Credentials is a folder with the files token, ca.crt and, unless Namespace is given,
	// namespace; empty means DefaultCredentials. They are read again when they change.
	Credentials string
	// Getenv finds KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT.
	Getenv func(string) string
	Logger *slog.Logger // nil discards
}

// Engine is a [shared.Engine].
type Engine struct {
	client    *client
	namespace string
	name      string
	log       *slog.Logger

	mu      sync.Mutex
	newest  secret    // what was last read or written; empty before
	noWatch time.Time // until when watch is not tried again, because the Role does not allow it
}

var (
	_           shared.Engine = (*Engine)(nil)
	namePattern               = lazyregexp.New(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
)

// ValidName reports whether Kubernetes takes name for a namespace or a Secret.
func ValidName(name string) bool { return namePattern.MatchString(name) }

// Open returns the engine.
func Open(o Options) (*Engine, error) {
	if o.Secret == "" {
		o.Secret = DefaultSecret
	}
	if o.Credentials == "" {
		o.Credentials = DefaultCredentials
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	host, port := o.Getenv("KUBERNETES_SERVICE_HOST"), o.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, shared.Errorf(store.ErrUnusable, "store = \"kubernetes\": KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, as they are in a pod")
	}
	if o.Namespace == "" {
		data, err := os.ReadFile(filepath.Join(o.Credentials, "namespace"))
		if err != nil {
			return nil, shared.Errorf(store.ErrUnusable, "store = \"kubernetes\": no namespace (%w); set kubernetes_namespace", err)
		}
		o.Namespace = strings.TrimSpace(string(data))
	}
	if !ValidName(o.Namespace) || !ValidName(o.Secret) {
		return nil, shared.Errorf(store.ErrUnusable, "store = \"kubernetes\": %.80q and %.80q are not names of a namespace and a Secret", o.Namespace, o.Secret)
	}
	c, err := newClient(host, port, o.Credentials)
	if err != nil {
		return nil, shared.Errorf(store.ErrUnusable, "store = \"kubernetes\": %w", err)
	}
	return &Engine{client: c, namespace: o.Namespace, name: o.Secret, log: o.Logger}, nil
}

// Describe implements [store.Describer].
func (e *Engine) Describe() store.Info {
	e.mu.Lock()
	defer e.mu.Unlock()
	info := store.Info{Kind: "kubernetes", Detail: e.namespace + "/" + e.name, Lasting: true}
	if time.Now().Before(e.noWatch) {
		info.Advice = "the Role lacks the verb watch for the Secret " + e.name + ", so that other machines' refreshes are noticed late"
	}
	return info
}

// A secret is a Secret as the API server has it. Fields that this program does not know are
// written as they were read.
type secret struct {
	fields  map[string]json.RawMessage
	data    map[string][]byte
	version string
}

func parseSecret(raw []byte) (s secret, err error) {
	var known struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Data map[string][]byte `json:"data"`
	}
	if err = json.Unmarshal(raw, &s.fields); err == nil {
		err = json.Unmarshal(raw, &known)
	}
	if err != nil || known.Metadata.ResourceVersion == "" {
		return secret{}, errors.New("the API server's answer is no Secret") // err could quote it
	}
	s.data, s.version = known.Data, known.Metadata.ResourceVersion
	return s, nil
}

// with returns the text of s with another value of key.
func (s secret) with(key string, value []byte) ([]byte, error) {
	fields, data := map[string]json.RawMessage{}, map[string][]byte{}
	maps.Copy(fields, s.fields)
	maps.Copy(data, s.data)
	data[key] = value
	var err error
	if fields["data"], err = json.Marshal(data); err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}

func (e *Engine) path() string {
	return "/api/v1/namespaces/" + url.PathEscape(e.namespace) + "/secrets/" + url.PathEscape(e.name)
}

// Get implements [shared.Engine].
func (e *Engine) Get(ctx context.Context, key string) (shared.Value, error) {
	if !store.ValidKey(key) {
		return shared.Value{}, fmt.Errorf("kubernetes: invalid key %.64q", key)
	}
	asked := time.Now()
	s, at, err := e.call(ctx, "get", "GET", e.path(), nil)
	return shared.Value{Data: s.data[key], At: at, Asked: asked}, err
}

// call makes a call that is answered by the Secret.
func (e *Engine) call(ctx context.Context, verb, method, path string, body []byte) (secret, time.Time, error) {
	raw, at, err := e.client.do(ctx, method, path, body)
	if err != nil {
		return secret{}, at, e.explain(verb, err)
	}
	s, err := parseSecret(raw)
	if err != nil {
		return secret{}, at, e.errorf(store.ErrUnavailable, "%w", err)
	}
	e.mu.Lock()
	e.newest = s
	e.mu.Unlock()
	return s, at, nil
}

// Swap implements [shared.Engine]. Other environments are in the same Secret: what changed there
// is no conflict for this one.
func (e *Engine) Swap(ctx context.Context, key string, old, new []byte) error {
	if !store.ValidKey(key) {
		return fmt.Errorf("kubernetes: invalid key %.64q", key)
	}
	e.mu.Lock()
	s := e.newest
	e.mu.Unlock()
	for range maxConflicts {
		// What was read last may be older than old, which another call has read.
		if now, ok := s.data[key]; s.fields == nil || ok != (old != nil) || !bytes.Equal(now, old) {
			var err error
			if s, _, err = e.call(ctx, "get", "GET", e.path(), nil); err != nil {
				return err
			}
		}
		if now, ok := s.data[key]; ok != (old != nil) || !bytes.Equal(now, old) {
			return fmt.Errorf("kubernetes: %s: %w", key, shared.ErrConflict)
		}
		body, err := s.with(key, new)
		if err != nil {
			return e.errorf(store.ErrUnusable, "%w", err)
		}
		_, _, err = e.call(ctx, "update", "PUT", e.path(), body)
		if refused, ok := errors.AsType[*statusError](err); !ok || refused.code != 409 {
			return err
		}
		s = secret{}
	}
	return e.errorf(store.ErrUnavailable, "%d conflicts in a row with changes of other environments", maxConflicts)
}

// Watch implements [shared.Engine].
func (e *Engine) Watch(ctx context.Context, key string, known []byte, every time.Duration) (shared.Value, error) {
	v, err := e.Get(ctx, key)
	if err != nil || !bytes.Equal(v.Data, known) {
		return v, err
	}
	e.mu.Lock()
	version, denied := e.newest.version, time.Now().Before(e.noWatch)
	e.mu.Unlock()
	if denied {
		return v, e.sleep(ctx, every)
	}
	next, err := e.watch(ctx, key, known, version)
	refused, ok := errors.AsType[*statusError](err)
	switch {
	case ok && refused.code == 403:
		e.mu.Lock()
		e.noWatch = time.Now().Add(watchAgain)
		e.mu.Unlock()
		e.log.Warn("reading the fleet's store every so often instead of watching it", "op", "fleet", "error", err)
		return v, e.sleep(ctx, every)
	case ok && refused.code == 410: // the version is too old to watch from
		return v, nil
	case err != nil:
		return shared.Value{}, err
	case next.At.IsZero(): // the watch has ended
		return v, e.sleep(ctx, 100*time.Millisecond)
	}
	return next, nil
}

// sleep waits about d, and returns an error only if ctx ends.
func (e *Engine) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d*3/4 + rand.N(d/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return e.errorf(store.ErrUnavailable, "%w", ctx.Err())
	}
}

// watch returns the first value that is not known, or a zero Value when the watch has ended.
func (e *Engine) watch(ctx context.Context, key string, known []byte, version string) (shared.Value, error) {
	query := url.Values{
		"watch": {"1"}, "resourceVersion": {version}, "fieldSelector": {"metadata.name=" + e.name},
		"timeoutSeconds": {fmt.Sprint(int(watchTimeout.Seconds()))},
	}
	ctx, cancel := context.WithTimeout(ctx, watchTimeout+callTimeout)
	defer cancel()
	path := strings.TrimSuffix(e.path(), "/"+url.PathEscape(e.name)) + "?" + query.Encode()
	events, err := e.client.stream(ctx, path)
	if err != nil {
		return shared.Value{}, e.explain("watch", err)
	}
	defer events.Close()
	for {
		var event struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := events.next(&event); err != nil {
			return shared.Value{}, nil // cut: Watch reads, and that tells whether something is wrong
		}
		switch event.Type {
		case "ERROR":
			return shared.Value{}, e.explain("watch", parseStatus(0, event.Object))
		case "ADDED", "MODIFIED":
			s, err := parseSecret(event.Object)
			if err != nil {
				return shared.Value{}, e.errorf(store.ErrUnavailable, "%w", err)
			}
			e.mu.Lock()
			e.newest = s
			e.mu.Unlock()
			if !bytes.Equal(s.data[key], known) {
				at, asked := events.now()
				return shared.Value{Data: s.data[key], At: at, Asked: asked}, nil
			}
		case "DELETED":
			return shared.Value{}, nil
		}
	}
}

func (e *Engine) errorf(kind error, format string, args ...any) error {
	return shared.Errorf(kind, "the Secret %s/%s: %w", e.namespace, e.name, fmt.Errorf(format, args...))
}

// explain says what a person has to do about a refusal. verb is that of the Role.
func (e *Engine) explain(verb string, err error) error {
	refused, ok := errors.AsType[*statusError](err)
	if !ok {
		return e.errorf(store.ErrUnavailable, "%w", err)
	}
	switch refused.code {
	case 401:
		return e.errorf(store.ErrUnusable, "the API server does not accept the service account's token: %w", refused)
	case 403:
		return e.errorf(store.ErrUnusable, "the service account may not %s it (%w); the Role needs the verb %s for this Secret", verb, refused, verb)
	case 404:
		return e.errorf(store.ErrUnusable, "it does not exist (%w); run: kubectl create secret generic %s -n %s", refused, e.name, e.namespace)
	case 400, 405, 413, 422:
		return e.errorf(store.ErrUnusable, "%w", refused)
	}
	return e.errorf(store.ErrUnavailable, "%w", refused)
}
