package shared_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/memory"
	"github.com/legaltalent/kyc-agent/store/shared"
	"github.com/legaltalent/kyc-agent/store/shared/sharedtest"
)

// A lateEngine answers the first Get after held is closed with what was there when it was asked.
type lateEngine struct {
	shared.Engine
	held chan struct{}
	gets int
}

func (e *lateEngine) Get(ctx context.Context, key string) (shared.Value, error) {
	e.gets++
	first := e.gets == 1
	v, err := e.Engine.Get(ctx, key)
	if first {
		<-e.held
	}
	return v, err
}

// An answer that another call of the same agent has overtaken is old, and no rollback. One that
// was asked for later is.
func TestOvertakenRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		engine := shared.NewMemory()
		sealer := sharedtest.NewSealer("the fleet's")
		other := shared.New(shared.Options{Engine: engine, Sealer: sealer, Local: memory.New(), Member: "other"})
		one, err := other.Push(ctx, "prod", shared.Parent{}, shared.Record{SignIn: []byte("one")})
		if err != nil {
			t.Fatal(err)
		}
		before, err := engine.Get(ctx, "prod")
		if err != nil {
			t.Fatal(err)
		}
		late := &lateEngine{Engine: engine, held: make(chan struct{})}
		f := shared.New(shared.Options{Engine: late, Sealer: sealer, Local: memory.New(), Member: "slow"})
		var read error
		done := make(chan struct{})
		go func() {
			_, read = f.Read(ctx, "prod")
			close(done)
		}()
		synctest.Wait()
		time.Sleep(time.Second)
		two, err := other.Push(ctx, "prod", one.Parent(), shared.Record{SignIn: []byte("two")})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := f.Read(ctx, "prod"); err != nil || r.Revision != two.Revision {
			t.Fatalf("%+v %v", r, err)
		}
		close(late.held)
		<-done
		if st := f.Status("prod"); read != nil || st.Err != nil || st.Revision != two.Revision {
			t.Errorf("the older answer: %v; status %+v", read, st)
		}
		now, err := engine.Get(ctx, "prod")
		if err == nil {
			err = engine.Swap(ctx, "prod", now.Data, before.Data)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Read(ctx, "prod"); !errors.Is(err, shared.ErrRolledBack) {
			t.Errorf("restored from a backup: %v", err)
		}
	})
}

// A record of a newer version inside of an object of this one is refused by name, and neither a
// refresh nor a login replaces it.
func TestNewerRecord(t *testing.T) {
	ctx := t.Context()
	engine, sealer := shared.NewMemory(), sharedtest.NewSealer("the fleet's")
	sealed, err := sealer.Seal("prod/7", []byte(`{"v":2,"env":"prod","rev":7,"sign_in":"bmV3"}`))
	if err != nil {
		t.Fatal(err)
	}
	object := fmt.Appendf(nil, `{"v":1,"env":"prod","rev":7,"sealed":%q}`, base64.StdEncoding.EncodeToString(sealed))
	if err := engine.Swap(ctx, "prod", nil, object); err != nil {
		t.Fatal(err)
	}
	f := shared.New(shared.Options{Engine: engine, Sealer: sealer, Local: memory.New(), Member: "old"})
	_, read := f.Read(ctx, "prod")
	_, refreshed := f.Push(ctx, "prod", shared.Parent{Revision: 7}, shared.Record{SignIn: []byte("old")})
	_, login := f.Push(ctx, "prod", shared.Parent{Any: true}, shared.Record{SignIn: []byte("old")})
	_, _, acquired := f.Acquire(ctx, "prod", shared.Record{Revision: 7, SignIn: []byte("old")})
	for what, err := range map[string]error{"read": read, "refresh": refreshed, "login": login, "lease": acquired} {
		if !errors.Is(err, shared.ErrNewer) || !errors.Is(err, store.ErrUnusable) || !strings.HasSuffix(err.Error(), "; upgrade this one") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if v, err := engine.Get(ctx, "prod"); err != nil || string(v.Data) != string(object) {
		t.Errorf("it was replaced: %s, %v", v.Data, err)
	}
}

// After a restore a refusal of the restored sign-in is as old as that is, however new the record
// that says it. What replaces it is newer than both.
func TestRefusalOfARestoredSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		engine := shared.NewMemory()
		open := func(member string) *shared.Fleet {
			return shared.New(shared.Options{Engine: engine, Sealer: sharedtest.NewSealer("the fleet's"), Local: memory.New(), Member: member})
		}
		must := func(r shared.Record, err error) shared.Record {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		old, late := open("old"), open("late")
		one := must(old.Push(ctx, "prod", shared.Parent{}, shared.Record{SignIn: []byte("one")}))
		before, err := engine.Get(ctx, "prod")
		if err != nil {
			t.Fatal(err)
		}
		two := must(old.Push(ctx, "prod", one.Parent(), shared.Record{SignIn: []byte("two")}))
		now, err := engine.Get(ctx, "prod")
		if err == nil {
			err = engine.Swap(ctx, "prod", now.Data, before.Data)
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		found := must(late.Read(ctx, "prod"))
		refused := must(late.Push(ctx, "prod", found.Parent(), shared.Record{SignIn: found.SignIn, Rejected: "refused"}))
		if r, err := old.Read(ctx, "prod"); !errors.Is(err, shared.ErrRolledBack) {
			t.Errorf("one that has seen more: %+v, %v", r, err)
		}
		if r := must(open("newer").Read(ctx, "prod")); r.Rejected == "" {
			t.Errorf("one that has not: %+v", r)
		}
		lease, newer, err := old.Acquire(ctx, "prod", two)
		if err != nil || lease == nil {
			t.Fatalf("%+v, %v", newer, err)
		}
		three := must(lease.Push(ctx, two.Parent(), shared.Record{SignIn: []byte("three")}))
		if three.Revision <= refused.Revision {
			t.Errorf("revision %d after %d", three.Revision, refused.Revision)
		}
		if r := must(late.Read(ctx, "prod")); string(r.SignIn) != "three" || r.Rejected != "" {
			t.Errorf("the new one: %+v", r)
		}
	})
}
