package storetest_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/memory"
	"github.com/legaltalent/kyc-agent/store/storetest"
)

// defects are stores that break the contract in one way each, and the subtests of
// Run that must detect it.
var defects = []struct {
	name    string
	open    func() store.Store
	noticed string
}{
	{"misses without ErrNotFound", with(func(f *faulty) { f.missing = os.ErrNotExist }), "Missing"},
	{"misses as unavailable", with(func(f *faulty) { f.missing = fmt.Errorf("%w, %w", store.ErrNotFound, store.ErrUnavailable) }), "Missing"},
	{"cuts values at a zero byte", with(func(f *faulty) { f.change = func(v []byte) []byte { v, _, _ = bytes.Cut(v, []byte{0}); return v } }), "Values"},
	{"trims values", with(func(f *faulty) { f.change = bytes.TrimSpace }), "Values"},
	{"cuts values at 2048 bytes", with(func(f *faulty) { f.change = func(v []byte) []byte { return v[:min(len(v), 2048)] } }), "Values"},
	{"repairs UTF-8", with(func(f *faulty) { f.change = func(v []byte) []byte { return bytes.ToValidUTF8(v, []byte("?")) } }), "Values"},
	{"keeps the first value", with(func(f *faulty) { f.keepsFirst = true }), "Overwrite"},
	{"fails to delete what is missing", with(func(f *faulty) { f.deleteMissing = store.ErrNotFound }), "Delete"},
	{"does not delete", with(func(f *faulty) { f.keepsDeleted = true }), "Delete"},
	{"lists out of order", with(func(f *faulty) { f.reversed = true }), "Keys"},
	{"takes any key", with(func(f *faulty) { f.anyKey = true }), "InvalidKeys"},
	{"quotes the value", with(func(f *faulty) { f.quotes = true }), "InvalidKeys"},
	{"ignores the context", with(func(f *faulty) { f.noContext = true }), "CancelledContext"},
	{"says it lasts", with(func(f *faulty) { f.info = store.Info{Kind: "file", Lasting: true} }), "Describe"},
	{"gives no advice", with(func(f *faulty) { f.info = store.Info{Kind: "memory"} }), "Describe"},
	{"misses what is damaged", with(func(f *faulty) { f.damaged = store.ErrNotFound }), "Damaged"},
	{"tries again what is damaged", with(func(f *faulty) { f.damaged = fmt.Errorf("%w, %w", store.ErrDamaged, store.ErrUnavailable) }), "Damaged"},
	{"keeps what is damaged", with(func(f *faulty) { f.damaged, f.neverReplaced = store.ErrDamaged, true }), "Damaged"},
	{"shares what it hands out", func() store.Store { return &sharing{values: map[string][]byte{}} }, "NotShared"},
}

const variable = "STORETEST_DEFECT"

// TestDefect runs the suite over the defective store that the environment names.
func TestDefect(t *testing.T) {
	name := os.Getenv(variable)
	for _, d := range defects {
		if d.name == name {
			storetest.Run(t, func(*testing.T) store.Store { return d.open() }, damageFaulty())
		}
	}
}

// A suite that passes everything proves nothing: each defect must fail its subtest.
func TestRunNoticesDefects(t *testing.T) {
	for _, d := range defects {
		cmd := exec.Command(os.Args[0], "-test.run=^TestDefect$", "-test.v")
		cmd.Env = append(os.Environ(), variable+"="+d.name)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "--- FAIL: TestDefect/"+d.noticed+" ") {
			t.Errorf("a store that %s passes %s (%v):\n%s", d.name, d.noticed, err, out)
		}
	}
}

// A faulty store is a store in memory with the defects that its fields name.
type faulty struct {
	memory                              *memory.Store
	missing, deleteMissing              error
	change                              func([]byte) []byte
	keepsFirst, keepsDeleted            bool
	reversed, anyKey, quotes, noContext bool
	info                                store.Info
	damaged                             error  // what Get of a damaged value returns
	damagedKey                          string // the key of the value that is damaged
	neverReplaced                       bool
}

// damageFaulty damages a value of a faulty store, if that has a defect in this respect.
func damageFaulty() storetest.Option {
	return storetest.Damage(func(_ *testing.T, st store.Store, key string) {
		if f, ok := st.(*faulty); ok && f.damaged != nil {
			f.damagedKey = key
		}
	})
}

func with(defect func(*faulty)) func() store.Store {
	return func() store.Store {
		f := &faulty{memory: memory.New(), change: bytes.Clone}
		f.info = f.memory.Describe()
		defect(f)
		return f
	}
}

func (f *faulty) context(ctx context.Context) context.Context {
	if f.noContext {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

func (f *faulty) Get(ctx context.Context, key string) ([]byte, error) {
	if f.damagedKey != "" && f.damagedKey == key {
		return nil, f.damaged
	}
	v, err := f.memory.Get(f.context(ctx), key)
	if err != nil && f.missing != nil && store.ValidKey(key) {
		err = f.missing
	}
	return v, err
}

func (f *faulty) Put(ctx context.Context, key string, value []byte) error {
	if !f.neverReplaced {
		f.damagedKey = ""
	}
	_, err := f.memory.Get(f.context(ctx), key)
	switch {
	case f.anyKey && !store.ValidKey(key), f.keepsFirst && err == nil:
		return nil
	case f.quotes && !store.ValidKey(key):
		return fmt.Errorf("cannot keep %q", value)
	}
	return f.memory.Put(f.context(ctx), key, f.change(bytes.Clone(value)))
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	_, err := f.memory.Get(f.context(ctx), key)
	switch {
	case err != nil && f.deleteMissing != nil && store.ValidKey(key):
		return f.deleteMissing
	case err == nil && f.keepsDeleted:
		return nil
	}
	return f.memory.Delete(f.context(ctx), key)
}

func (f *faulty) Keys(ctx context.Context) ([]string, error) {
	keys, err := f.memory.Keys(f.context(ctx))
	if f.reversed {
		slices.Reverse(keys)
	}
	return keys, err
}

func (f *faulty) Describe() store.Info { return f.info }

// sharing returns slices that it still uses and keeps the caller's slices. Its map has a
// lock: that is not the defect, and the runtime would end the test at random.
type sharing struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (s *sharing) Get(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.values[key]; ok {
		return v, nil
	}
	return nil, store.ErrNotFound
}

func (s *sharing) Put(_ context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = value
	return nil
}

func (s *sharing) Delete(context.Context, string) error { return nil }

func (s *sharing) Keys(context.Context) ([]string, error) { return nil, nil }
