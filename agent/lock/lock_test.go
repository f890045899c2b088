package lock_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"

	"github.com/legaltalent/kyc-agent/agent/lock"
	"github.com/legaltalent/kyc-agent/internal/bootclock"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/memory"
)

func newIdentity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// The largest record, of a token that does not compress, fits into every store when it is
// wrapped.
func TestWrappedFits(t *testing.T) {
	id := newIdentity(t)
	random := make([]byte, 3000)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	value := []byte(`{"v":1,"refresh_token":"` + base64.RawURLEncoding.EncodeToString(random))[:2200]
	wrapped, err := lock.Wrap(id.Recipient(), value)
	if err != nil {
		t.Fatal(err)
	}
	if len(wrapped) > store.MaxValue || !lock.IsWrapped(wrapped) || lock.IsWrapped(value) {
		t.Errorf("%d bytes", len(wrapped))
	}
	var record struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(wrapped, &record); err != nil || record.Version != 2 {
		t.Errorf("version %d, %v", record.Version, err)
	}
	opened, err := lock.Unwrap(id, wrapped)
	if err != nil || !bytes.Equal(opened, value) {
		t.Error("another value comes out", err)
	}
	if _, err := lock.Unwrap(newIdentity(t), wrapped); !errors.Is(err, lock.ErrOtherKey) {
		t.Error("another identity opens it", err)
	}
	if _, err := lock.Unwrap(id, bytes.Replace(wrapped, []byte("A"), []byte("B"), 5)); !errors.Is(err, lock.ErrOtherKey) {
		t.Error("it opens although it is damaged", err)
	}
}

// brokenStore takes nothing for some keys.
type brokenStore struct {
	store.Store
	broken map[string]bool
}

func (s brokenStore) Put(ctx context.Context, key string, value []byte) error {
	if s.broken[key] {
		return errors.New("disk full")
	}
	return s.Store.Put(ctx, key, value)
}

// A value that the store does not take stays, wrapped, in what is left, and comes back with the
// unlock.
func TestStoreThatTakesNothing(t *testing.T) {
	ctx, id := t.Context(), newIdentity(t)
	st := brokenStore{memory.New(), map[string]bool{}}
	for _, key := range []string{"prod", "staging", "prod--first"} {
		if err := st.Put(ctx, key, []byte("value of "+key)); err != nil {
			t.Fatal(err)
		}
	}
	st.broken["prod"] = true
	n, left, err := lock.All(ctx, st, id.Recipient(), map[string][]byte{"dev": []byte("unsaved"), "prod": []byte("newer")})
	if err == nil || n != 4 || len(left) != 1 || !lock.IsWrapped(left["prod"]) {
		t.Fatalf("%d wrapped, %d left, %v", n, len(left), err)
	}
	if n, left, err = lock.All(ctx, st, id.Recipient(), left); err == nil || n != 0 || len(left) != 1 {
		t.Fatalf("again: %d wrapped, %d left, %v", n, len(left), err)
	}
	_, opened, foreign, err := lock.Open(ctx, st, id, left)
	if err != nil || len(foreign) > 0 || string(opened["prod"]) != "newer" {
		t.Fatalf("%q, %v, %v", opened, foreign, err)
	}
	delete(st.broken, "prod")
	if _, left, err = lock.All(ctx, st, id.Recipient(), opened); err != nil || len(left) > 0 {
		t.Fatalf("%d left, %v", len(left), err)
	}
	if _, _, _, err := lock.Open(ctx, st, id, nil); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"prod": "newer", "staging": "value of staging", "dev": "unsaved"} {
		if got, err := st.Get(ctx, key); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
}

// What is not known to be unlocked is locked.
func TestDamagedFolder(t *testing.T) {
	for _, text := range []string{"", "{", `{"v":2}`, `{"v":1,"recipient":"age1nonsense"}`, strings.Repeat(" ", 100<<10)} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, lock.FileName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f := lock.New(dir)
		if f.Err() == nil || !f.State().Locked || f.State().Passphrase {
			t.Errorf("%.20q: %+v, %v", text, f.State(), f.Err())
		}
	}
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, lock.FileName), 0o600); err != nil {
		t.Fatal(err)
	}
	fifo := lock.New(dir)
	if fifo.Err() == nil || !strings.Contains(fifo.Err().Error(), "not a regular file; remove it") || !fifo.State().Locked {
		t.Errorf("a FIFO: %+v, %v", fifo.State(), fifo.Err())
	}
	if err := fifo.Forget(); err != nil || lock.New(dir).Err() != nil {
		t.Errorf("forgotten: %v, %v", err, lock.New(dir).Err())
	}
	if f := lock.New(t.TempDir()); f.Err() != nil || f.State().Locked {
		t.Error("locked without a file")
	}
}

// turns returns the Turns of a passphrase "right" that take a second for each try.
func turns(t *testing.T, dir string) (*lock.Turns, *atomic.Int64) {
	id, made := newIdentity(t), new(atomic.Int64)
	folder := lock.New(dir)
	folder.Now = func() bootclock.Mark { // of the bubble, and the same after a restart
		now := time.Now()
		return bootclock.Mark{Wall: now, Boot: "test", Up: time.Duration(now.UnixNano())}
	}
	return &lock.Turns{Folder: folder, Check: func(passphrase string) (*age.X25519Identity, error) {
		made.Add(1)
		time.Sleep(time.Second)
		if passphrase == "right" {
			return id, nil
		}
		return nil, lock.ErrWrongPassphrase
	}}, made
}

// Wrong tries wait longer and longer, a restart does not shorten that, and a right one ends it.
func TestWrongTriesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var took []time.Duration
		for i := range 12 {
			u, _ := turns(t, dir) // as after a restart
			began := time.Now()
			if _, err := u.Do(t.Context(), lock.Try{Passphrase: fmt.Sprint(i), Session: "1"}); !errors.Is(err, lock.ErrWrongPassphrase) {
				t.Fatal(err)
			}
			took = append(took, time.Since(began).Round(time.Second))
		}
		want := []time.Duration{1, 1, 1, 2, 3, 5, 9, 17, 31, 31, 31, 31}
		for i := range want {
			if d := took[i] - want[i]*time.Second; d > 0 || d < -time.Second {
				t.Errorf("try %d took %s, want %d s", i, took[i], want[i])
			}
		}
		u, _ := turns(t, dir)
		if _, err := u.Do(t.Context(), lock.Try{Passphrase: "right", Session: "1"}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, _ = u.Do(t.Context(), lock.Try{Passphrase: "wrong", Session: "1"})
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("after a right one a try took %s", d)
		}
	})
}

// Whatever a flood tries, the owner gets in within a minute.
func TestFlood(t *testing.T) {
	for name, flood := range map[string]func(i int) lock.Try{
		"the same from one session":         func(i int) lock.Try { return lock.Try{Passphrase: "wrong", Session: "9"} },
		"the same from many sessions":       func(i int) lock.Try { return lock.Try{Passphrase: "wrong", Session: fmt.Sprint("s", i)} },
		"others from one session":           func(i int) lock.Try { return lock.Try{Passphrase: fmt.Sprint(i), Session: "9"} },
		"others from one terminal":          func(i int) lock.Try { return lock.Try{Passphrase: fmt.Sprint(i), Session: "9", Terminal: true} },
		"others from a session for each":    func(i int) lock.Try { return lock.Try{Passphrase: fmt.Sprint(i), Session: fmt.Sprint("s", i)} },
		"as many as wait, and then as many": func(i int) lock.Try { return lock.Try{Passphrase: fmt.Sprint(i), Session: fmt.Sprint("s", i%1500)} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u, made := turns(t, t.TempDir())
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				next := make(chan int)
				go func() {
					defer close(next)
					for i := 0; ; i++ {
						select {
						case next <- i:
						case <-ctx.Done():
							return
						}
					}
				}()
				var flooding sync.WaitGroup
				size := 150
				if strings.HasPrefix(name, "as many") {
					size = 1050
				}
				for range size {
					flooding.Go(func() {
						for i := range next {
							_, _ = u.Do(ctx, flood(i))
							time.Sleep(time.Second)
						}
					})
				}
				time.Sleep(200*time.Second + time.Duration(rand.IntN(60))*time.Second)
				began := time.Now()
				if _, err := u.Do(ctx, lock.Try{Passphrase: "right", Session: "owner", Terminal: true}); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(began); d > time.Minute {
					t.Errorf("the owner waited %s", d)
				}
				if n := made.Load(); n > 60 {
					t.Errorf("the flood got %d tries", n)
				}
				cancel()
				flooding.Wait()
				time.Sleep(time.Minute) // until the last batch has ended
			})
		})
	}
}
