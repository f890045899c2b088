package shared_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

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
