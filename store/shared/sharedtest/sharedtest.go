// Package sharedtest tests that an implementation of [shared.Engine] keeps its contract.
//
//	sharedtest.Run(t, func(t *testing.T) shared.Engine { return shared.NewMemory() })
//
// Each call of the function returns another client of one engine, as another machine would be;
// every test uses keys of its own.
package sharedtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/shared"
)

// patience is how long a call may take.
const patience = 20 * time.Second

// Run tests the engine that open returns clients of.
func Run(t *testing.T, open func(t *testing.T) shared.Engine) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, func(*testing.T) shared.Engine){
		"Missing": missing, "Swap": swap, "Values": values, "Conflict": conflict, "OneWins": oneWins, "Watch": watch,
		"WatchKnown": watchKnown, "OtherKeys": otherKeys, "InvalidKeys": invalidKeys, "Cancelled": cancelled, "Clock": clock,
		"Describe": describe,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// key is one that no other test uses.
func key(t *testing.T) string {
	name := strings.ToLower(strings.Map(func(r rune) rune {
		if r == '/' || r == '#' {
			return '-'
		}
		return r
	}, t.Name()))
	return strings.TrimLeft(name[max(0, len(name)-40):], "-_") + fmt.Sprint(serial.Add(1))
}

var serial atomic.Int64

func want(t *testing.T, e shared.Engine, key string, data []byte) {
	t.Helper()
	v, err := e.Get(within(t), key)
	if err != nil || !bytes.Equal(v.Data, data) || (v.Data == nil) != (data == nil) {
		t.Fatalf("Get(%s) = %q, %v, want %q", key, v.Data, err, data)
	}
}

func mustSwap(t *testing.T, e shared.Engine, key string, old, new []byte) {
	t.Helper()
	if err := e.Swap(within(t), key, old, new); err != nil {
		t.Fatalf("Swap(%s): %v", key, err)
	}
}

func missing(t *testing.T, open func(*testing.T) shared.Engine) {
	want(t, open(t), key(t), nil)
}

func swap(t *testing.T, open func(*testing.T) shared.Engine) {
	a, b, k := open(t), open(t), key(t)
	mustSwap(t, a, k, nil, []byte("one"))
	want(t, b, k, []byte("one"))
	mustSwap(t, b, k, []byte("one"), []byte("two"))
	want(t, a, k, []byte("two"))
}

func values(t *testing.T, open func(*testing.T) shared.Engine) {
	e := open(t)
	for _, data := range [][]byte{[]byte(`{"v":1}`), []byte("\x00\xff'\\\"$1\n"), bytes.Repeat([]byte("x"), 30_000)} {
		k := key(t)
		mustSwap(t, e, k, nil, data)
		want(t, e, k, data)
		mustSwap(t, e, k, data, []byte("other"))
	}
}

func conflict(t *testing.T, open func(*testing.T) shared.Engine) {
	a, b, k := open(t), open(t), key(t)
	if err := a.Swap(within(t), k, []byte("none"), []byte("x")); !errors.Is(err, shared.ErrConflict) {
		t.Fatalf("replacing what is not there: %v", err)
	}
	mustSwap(t, a, k, nil, []byte("one"))
	if err := b.Swap(within(t), k, nil, []byte("x")); !errors.Is(err, shared.ErrConflict) {
		t.Fatalf("making what is there: %v", err)
	}
	mustSwap(t, b, k, []byte("one"), []byte("two"))
	if err := a.Swap(within(t), k, []byte("one"), []byte("x")); !errors.Is(err, shared.ErrConflict) {
		t.Fatalf("replacing an older value: %v", err)
	}
	want(t, a, k, []byte("two"))
}

// oneWins makes many clients replace the same value at the same time.
func oneWins(t *testing.T, open func(*testing.T) shared.Engine) {
	k := key(t)
	first := open(t)
	old := []byte("0")
	mustSwap(t, first, k, nil, old)
	for round := range 5 {
		var won atomic.Int64
		var winner atomic.Value
		var all sync.WaitGroup
		for i := range 8 {
			e := open(t)
			all.Go(func() {
				new := fmt.Appendf(nil, "%d-%d", round, i)
				err := e.Swap(within(t), k, old, new)
				switch {
				case err == nil:
					won.Add(1)
					winner.Store(new)
				case !errors.Is(err, shared.ErrConflict):
					t.Errorf("client %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d clients replaced the same value", round, won.Load())
		}
		old = winner.Load().([]byte)
		want(t, first, k, old)
	}
}

func watch(t *testing.T, open func(*testing.T) shared.Engine) {
	a, b, k := open(t), open(t), key(t)
	mustSwap(t, a, k, nil, []byte("one"))
	got := make(chan shared.Value, 1)
	go func() {
		known := []byte("one")
		for {
			v, err := b.Watch(within(t), k, known, 50*time.Millisecond)
			if err != nil {
				t.Error(err)
			}
			if err != nil || !bytes.Equal(v.Data, known) {
				got <- v
				return
			}
		}
	}()
	mustSwap(t, a, k, []byte("one"), []byte("two"))
	select {
	case v := <-got:
		if string(v.Data) != "two" {
			t.Fatalf("watched %q", v.Data)
		}
	case <-time.After(patience):
		t.Fatal("the change was not noticed")
	}
}

// watchKnown watches a value that is not known: that is there at once.
func watchKnown(t *testing.T, open func(*testing.T) shared.Engine) {
	e, k := open(t), key(t)
	mustSwap(t, e, k, nil, []byte("one"))
	v, err := e.Watch(within(t), k, nil, time.Hour)
	if err != nil || string(v.Data) != "one" {
		t.Fatalf("%q, %v", v.Data, err)
	}
}

// otherKeys changes one key while another one is replaced: that is no conflict.
func otherKeys(t *testing.T, open func(*testing.T) shared.Engine) {
	a, b := open(t), open(t)
	k, other := key(t), key(t)
	mustSwap(t, a, k, nil, []byte("one"))
	mustSwap(t, b, other, nil, []byte("1"))
	mustSwap(t, a, k, []byte("one"), []byte("two"))
	mustSwap(t, b, other, []byte("1"), []byte("2"))
	want(t, a, other, []byte("2"))
	want(t, b, k, []byte("two"))
}

func invalidKeys(t *testing.T, open func(*testing.T) shared.Engine) {
	e := open(t)
	for _, k := range []string{"", "UPPER", "a/b", "../x", "a'b", strings.Repeat("a", 64)} {
		if _, err := e.Get(within(t), k); err == nil {
			t.Errorf("Get(%q) succeeded", k)
		}
		if err := e.Swap(within(t), k, nil, []byte("x")); err == nil {
			t.Errorf("Swap(%q) succeeded", k)
		}
	}
}

func cancelled(t *testing.T, open func(*testing.T) shared.Engine) {
	e, k := open(t), key(t)
	ctx, cancel := context.WithCancel(context.Background())
	mustSwap(t, e, k, nil, []byte("one"))
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := e.Watch(ctx, k, []byte("one"), time.Hour); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Watch of a cancelled context: %v", err)
	}
	if _, err := e.Get(ctx, k); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get: %v", err)
	}
	if err := e.Swap(ctx, k, []byte("one"), []byte("two")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Swap: %v", err)
	}
}

func clock(t *testing.T, open func(*testing.T) shared.Engine) {
	began := time.Now()
	v, err := open(t).Get(within(t), key(t))
	if d := time.Since(v.At).Abs(); err != nil || d > 5*time.Second {
		t.Errorf("the engine's clock is %s off, %v", d, err)
	}
	if v.Asked.Before(began) || v.Asked.After(time.Now()) {
		t.Errorf("it was asked at %v, not after %v", v.Asked, began)
	}
}

func describe(t *testing.T, open func(*testing.T) shared.Engine) {
	info := open(t).Describe()
	if kinds := []string{"memory", "kubernetes", "postgres"}; !slices.Contains(kinds, info.Kind) || info.Lasting == (info.Kind == "memory") {
		t.Errorf("%+v", info)
	}
}
