// Package storetest tests that an implementation of [store.Store] keeps its contract.
//
// Call Run from a test of the implementation:
//
//	storetest.Run(t, func(t *testing.T) store.Store { return memory.New() })
//
// For a store whose values outlive the process, add [Reopen]; for one whose values can be
// damaged from outside, [Damage].
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/legaltalent/kyc-agent/store"
)

// An Option tells Run more about the implementation.
type Option func(*suite)

// Reopen gives Run a function that ends a store, as the exit of the daemon would, and
// opens one with the same values. Without it Run expects a store that is not Lasting.
func Reopen(reopen func(t *testing.T, old store.Store) store.Store) Option {
	return func(s *suite) { s.reopen = reopen }
}

// Damage gives Run a function that makes the value of key unreadable for good, as a bad
// disk does. Without it Run expects a store whose values only the store can reach.
func Damage(damage func(t *testing.T, st store.Store, key string)) Option {
	return func(s *suite) { s.damage = damage }
}

type suite struct {
	open   func(t *testing.T) store.Store
	reopen func(t *testing.T, old store.Store) store.Store
	damage func(t *testing.T, st store.Store, key string)
}

// Run tests the stores that open returns against the contract of [store.Store]. Each
// call of open must return a new, empty store.
func Run(t *testing.T, open func(t *testing.T) store.Store, options ...Option) {
	t.Helper()
	s := &suite{open: open}
	for _, o := range options {
		o(s)
	}
	for _, c := range []struct {
		name string
		test func(*suite, *testing.T)
	}{
		{"Missing", (*suite).missing},
		{"Values", (*suite).values},
		{"Overwrite", (*suite).overwrite},
		{"Delete", (*suite).delete},
		{"Keys", (*suite).keys},
		{"InvalidKeys", (*suite).invalidKeys},
		{"NotShared", (*suite).notShared},
		{"CancelledContext", (*suite).cancelled},
		{"Concurrency", (*suite).concurrency},
		{"Describe", (*suite).describe},
		{"Reopened", (*suite).reopened},
		{"Damaged", (*suite).damaged},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(s, t) })
	}
}

func (s *suite) missing(t *testing.T) {
	st := s.open(t)
	wantMissing(t, st, "staging")
	wantKeys(t, st)
}

func (s *suite) values(t *testing.T) {
	st := s.open(t)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, c := range []struct {
		name  string
		value []byte
	}{
		{"empty", []byte{}},
		{"one byte", []byte{0}},
		{"text", []byte(`{"version":1,"user":"ana@example.com"}`)},
		{"lines", []byte(" two\nlines\r\n\n")},
		{"every byte", every},
		{"no UTF-8", []byte("\xff\xfe\x00\x80")},
		{"largest", bytes.Repeat([]byte("0123456789abcdef"), store.MaxValue/16+1)[:store.MaxValue]},
	} {
		t.Run(c.name, func(t *testing.T) {
			put(t, st, "staging", c.value)
			wantValue(t, st, "staging", c.value)
		})
	}
	longest := strings.Repeat("k", 63)
	put(t, st, longest, []byte("v"))
	wantValue(t, st, longest, []byte("v"))
}

func (s *suite) overwrite(t *testing.T) {
	st := s.open(t)
	for _, v := range []string{"a first, longer value", "second", "second", "a third value, the longest of them"} {
		put(t, st, "prod", []byte(v))
		wantValue(t, st, "prod", []byte(v))
	}
	wantKeys(t, st, "prod")
}

func (s *suite) delete(t *testing.T) {
	st := s.open(t)
	remove(t, st, "prod")
	put(t, st, "prod", []byte("p"))
	put(t, st, "staging", []byte("s"))
	remove(t, st, "prod")
	wantMissing(t, st, "prod")
	wantValue(t, st, "staging", []byte("s"))
	wantKeys(t, st, "staging")
	remove(t, st, "prod")
	put(t, st, "prod", []byte("again"))
	wantValue(t, st, "prod", []byte("again"))
}

func (s *suite) keys(t *testing.T) {
	st := s.open(t)
	for _, k := range []string{"staging", "prod", "a_b", "a-b", "0", "prod2"} {
		put(t, st, k, []byte(k))
	}
	wantKeys(t, st, "0", "a-b", "a_b", "prod", "prod2", "staging")
}

func (s *suite) invalidKeys(t *testing.T) {
	st, ctx := s.open(t), t.Context()
	const marker = "value-that-no-error-may-contain"
	for _, key := range []string{
		"", ".", "..", "../prod", "a/b", `a\b`, "/prod", ".prod", "prod.age", "PROD", "prod ", "pr\x00d", "pröd",
		"-prod", "_prod", "prod\n", strings.Repeat("k", 64),
	} {
		_, getErr := st.Get(ctx, key)
		for op, err := range map[string]error{
			"Get":    getErr,
			"Put":    st.Put(ctx, key, []byte(marker)),
			"Delete": st.Delete(ctx, key),
		} {
			switch {
			case err == nil:
				t.Errorf("%s(%q) accepts a key that store.ValidKey refuses", op, key)
			case errors.Is(err, store.ErrNotFound):
				t.Errorf("%s(%q) = %v: ErrNotFound means that the store was read", op, key, err)
			default:
				checkError(t, err, marker)
			}
		}
	}
	wantKeys(t, st)
}

func (s *suite) notShared(t *testing.T) {
	st := s.open(t)
	in := []byte("original")
	put(t, st, "prod", in)
	copy(in, "CHANGED!")
	wantValue(t, st, "prod", []byte("original"))
	out, err := st.Get(t.Context(), "prod")
	if err != nil {
		t.Fatal(err)
	}
	copy(out, "CHANGED!")
	wantValue(t, st, "prod", []byte("original"))
}

func (s *suite) cancelled(t *testing.T) {
	st := s.open(t)
	put(t, st, "prod", []byte("kept"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, getErr := st.Get(ctx, "prod")
	_, keysErr := st.Keys(ctx)
	for op, err := range map[string]error{
		"Get":    getErr,
		"Put":    st.Put(ctx, "prod", []byte("changed")),
		"Delete": st.Delete(ctx, "prod"),
		"Keys":   keysErr,
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: error %v, want one that wraps context.Canceled", op, err)
		}
		if errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s with a cancelled context says ErrNotFound: %v", op, err)
		}
	}
	wantValue(t, st, "prod", []byte("kept"))
}

// concurrency starts writers that write one key in common and one each of their own.
func (s *suite) concurrency(t *testing.T) {
	const writers, rounds = 4, 4
	st := s.open(t)
	value := func(w, r int) []byte {
		return bytes.Repeat([]byte{byte('a' + w), byte('0' + r)}, 500)
	}
	put(t, st, "shared", value(0, 0))
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			own := fmt.Sprintf("own-%d", w)
			for r := range rounds {
				for _, err := range []error{
					st.Put(t.Context(), own, value(w, r)),
					st.Put(t.Context(), "shared", value(w, r)),
				} {
					if err != nil {
						t.Errorf("Put: %v", err)
					}
				}
				if got, err := st.Get(t.Context(), own); err != nil || !bytes.Equal(got, value(w, r)) {
					t.Errorf("Get(%q) = %d bytes, %v; want what was just put", own, len(got), err)
				}
				got, err := st.Get(t.Context(), "shared")
				if err != nil || len(got) != 1000 || !bytes.Equal(got, bytes.Repeat(got[:2], 500)) {
					t.Errorf("Get(shared) = %d bytes, %v; want one writer's value, whole", len(got), err)
				}
			}
		})
	}
	wg.Wait()
	wantKeys(t, st, "own-0", "own-1", "own-2", "own-3", "shared")
}

func (s *suite) describe(t *testing.T) {
	info := store.Describe(s.open(t))
	if !slices.Contains([]string{"keyring", "file", "memory"}, info.Kind) {
		t.Errorf("Kind = %q, want keyring, file or memory", info.Kind)
	}
	if lasting := s.reopen != nil; info.Lasting != lasting {
		t.Errorf("Lasting = %v, but the test has reopen = %v", info.Lasting, lasting)
	}
	if !info.Lasting && info.Advice == "" {
		t.Error("the Advice of a store that is not lasting must say how to get one that is")
	}
	if strings.ContainsAny(info.Detail+info.Advice, "\r\n") {
		t.Errorf("more than one line: %q, %q", info.Detail, info.Advice)
	}
}

func (s *suite) reopened(t *testing.T) {
	if s.reopen == nil {
		return // the subtest Describe has checked that the store is not Lasting
	}
	st := s.open(t)
	put(t, st, "prod", []byte("old"))
	put(t, st, "prod", []byte("new"))
	put(t, st, "staging", []byte("s"))
	put(t, st, "gone", []byte("g"))
	remove(t, st, "gone")
	st = s.reopen(t, st)
	wantKeys(t, st, "prod", "staging")
	wantValue(t, st, "prod", []byte("new"))
	wantValue(t, st, "staging", []byte("s"))
	wantMissing(t, st, "gone")
}

// damaged checks that a damaged value is told from a missing one and from one that may be
// read later, that it harms no other key, and that it can be replaced and removed.
func (s *suite) damaged(t *testing.T) {
	if s.damage == nil {
		return
	}
	st := s.open(t)
	put(t, st, "prod", []byte("p"))
	put(t, st, "staging", []byte("s"))
	s.damage(t, st, "prod")
	got, err := st.Get(t.Context(), "prod")
	if !errors.Is(err, store.ErrDamaged) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrUnavailable) || got != nil {
		t.Fatalf("Get of a damaged value = %.40q, %v; want ErrDamaged alone", got, err)
	}
	checkError(t, err, "")
	wantKeys(t, st, "prod", "staging")
	wantValue(t, st, "staging", []byte("s"))
	put(t, st, "prod", []byte("again"))
	wantValue(t, st, "prod", []byte("again"))
	s.damage(t, st, "prod")
	remove(t, st, "prod")
	wantMissing(t, st, "prod")
}

func put(t *testing.T, st store.Store, key string, value []byte) {
	t.Helper()
	if err := st.Put(t.Context(), key, value); err != nil {
		t.Fatalf("Put(%q, %d bytes): %v", key, len(value), err)
	}
}

func remove(t *testing.T, st store.Store, key string) {
	t.Helper()
	if err := st.Delete(t.Context(), key); err != nil {
		t.Fatalf("Delete(%q): %v", key, err)
	}
}

func wantValue(t *testing.T, st store.Store, key string, want []byte) {
	t.Helper()
	got, err := st.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get(%q): %v", key, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("Get(%q) = %.40q (%d bytes), want %.40q (%d bytes)", key, got, len(got), want, len(want))
	}
}

func wantMissing(t *testing.T, st store.Store, key string) {
	t.Helper()
	got, err := st.Get(t.Context(), key)
	if !errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrLocked) || errors.Is(err, store.ErrDamaged) ||
		errors.Is(err, store.ErrUnusable) || errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("Get(%q) = %.40q, %v; want ErrNotFound alone", key, got, err)
	}
	if got != nil {
		t.Fatalf("Get(%q) returns both a value and an error", key)
	}
	checkError(t, err, "")
}

func wantKeys(t *testing.T, st store.Store, want ...string) {
	t.Helper()
	got, err := st.Keys(t.Context())
	if err != nil {
		t.Fatalf("Keys: %v", err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("Keys = %q, want %q", got, want)
	}
}

// checkError checks that an error is one line and does not contain the value.
func checkError(t *testing.T, err error, value string) {
	t.Helper()
	if strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("an error of more than one line: %q", err)
	}
	if value != "" && strings.Contains(err.Error(), value) {
		t.Errorf("an error contains the value: %q", err)
	}
}
