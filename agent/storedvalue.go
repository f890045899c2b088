package agent

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

const (
	saveTimeout   = 3 * time.Second   // how long a request waits for its refresh token to be saved
	storeTimeout  = 10 * time.Second  // one operation of the store; the stores have shorter timeouts themselves
	promptTimeout = 130 * time.Second // where a person may have to unlock the store first
)

// A storedValue is what one key of the store is to hold. It changes in memory at once, and one
// goroutine writes it. So a store that hangs delays nobody longer than they want to wait, and
// an older value that is late never overwrites a newer one.
type storedValue struct {
	session *session
	key     string
	// wrote is called with the session's mu held after each write, with its error.
	wrote func(error)

	// Guarded by the session's mu. Versions count the changes.
	data    []byte        // nil if the key is to be deleted
	wanted  int           // the version of data
	stored  int           // the newest version that the store has
	prompt  bool          // the next write may prompt a person
	running chan struct{} // closed when the writes in progress end; nil if there are none
	err     error         // of the last write
}

// setLocked changes the value, starts to write it, and returns its version. nil deletes it. The
// caller holds the session's mu.
func (v *storedValue) setLocked(data []byte, prompt bool) int {
	v.wanted++
	v.data, v.prompt = data, prompt
	v.writeLocked()
	return v.wanted
}

// pendingLocked reports whether the store does not have the value yet.
func (v *storedValue) pendingLocked() bool { return v.stored != v.wanted }

// writeLocked starts to write the value if the store does not have it. The caller holds the
// session's mu.
func (v *storedValue) writeLocked() {
	switch {
	case !store.ValidKey(v.key): // the name of the environment is too long for a second key
		v.stored = v.wanted
	case v.running == nil && v.pendingLocked():
		v.running = make(chan struct{})
		go v.write()
	}
}

// write writes until the store has the newest value, or a write of that fails.
func (v *storedValue) write() {
	mu := &v.session.mu
	mu.Lock()
	defer mu.Unlock()
	for {
		data, version, prompt := v.data, v.wanted, v.prompt
		v.prompt = false
		mu.Unlock()
		err := v.writeOnce(data, prompt)
		mu.Lock()
		if v.err = err; err == nil {
			v.stored = version
		}
		if v.wrote != nil {
			v.wrote(err)
		}
		if v.wanted == version {
			close(v.running)
			v.running = nil
			return
		}
	}
}

func (v *storedValue) writeOnce(data []byte, prompt bool) error {
	ctx, limit := context.Background(), storeTimeout
	if prompt {
		ctx, limit = store.WithPrompt(ctx), promptTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if data == nil {
		return v.session.agent.store.Delete(ctx, v.key)
	}
	return v.session.agent.store.Put(ctx, v.key, data)
}

// wait returns nil when the store has that version, or a newer one. It returns an error when a
// write has failed, or after limit; the write then goes on.
func (v *storedValue) wait(version int, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		v.session.mu.Lock()
		stored, running, err := v.stored >= version, v.running, v.err
		v.session.mu.Unlock()
		switch {
		case stored:
			return nil
		case running == nil:
			return err
		}
		select {
		case <-running:
		case <-timer.C:
			return v.session.agent.storeSilent(limit)
		}
	}
}

// storeLimit returns how long a login or a logout waits for the store. A keyring may prompt a
// person first.
func (a *Agent) storeLimit() time.Duration {
	if store.Describe(a.store).Kind == "keyring" {
		return promptTimeout
	}
	return storeTimeout
}

// storeSilent is the error of a store that has not answered for that long.
func (a *Agent) storeSilent(limit time.Duration) error {
	info := store.Describe(a.store)
	name := cmp.Or(map[string]string{"": "the store", "keyring": "the keyring"}[info.Kind], "the "+info.Kind+" store")
	if info.Detail != "" {
		name += " (" + info.Detail + ")"
	}
	return fmt.Errorf("%s has not answered for %s", name, limit)
}

// read reads a key of the store. It returns after storeTimeout, whatever the store does.
func (a *Agent) read(ctx context.Context, key string) ([]byte, error) {
	if !store.ValidKey(key) {
		return nil, store.ErrNotFound
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := a.store.Get(ctx, key)
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		return r.data, r.err
	case <-ctx.Done():
		return nil, a.storeSilent(storeTimeout)
	}
}
