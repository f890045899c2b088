package lazycontext

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A Deadline behaves like a context.WithDeadline, whenever it is made.
func TestDeadline(t *testing.T) {
	type key struct{}
	for name, test := range map[string]struct {
		do   func(d *Deadline, endParent func())
		want error
	}{
		"in time":                 {func(*Deadline, func()) {}, nil},
		"too late":                {func(*Deadline, func()) { time.Sleep(2 * time.Second) }, context.DeadlineExceeded},
		"made, then too late":     {func(d *Deadline, _ func()) { d.Done(); time.Sleep(2 * time.Second) }, context.DeadlineExceeded},
		"ended":                   {func(d *Deadline, _ func()) { d.End() }, context.Canceled},
		"made, then ended":        {func(d *Deadline, _ func()) { d.Done(); d.End() }, context.Canceled},
		"the server's":            {func(_ *Deadline, endParent func()) { endParent() }, context.Canceled},
		"made, then the server's": {func(d *Deadline, endParent func()) { d.Done(); endParent() }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				parent, endParent := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
				defer endParent()
				at := time.Now().Add(time.Second)
				d := &Deadline{parent: parent, at: at}
				defer d.End()
				test.do(d, endParent)
				synctest.Wait()
				child, stop := context.WithCancel(d)
				defer stop()
				for _, ctx := range []context.Context{d, child} {
					select {
					case <-ctx.Done():
						if test.want == nil {
							t.Error("it has ended")
						}
					default:
						if test.want != nil {
							t.Error("it has not ended")
						}
					}
					if ctx.Err() != test.want || ctx.Value(key{}) != "v" {
						t.Errorf("Err %v, Value %v; want %v", ctx.Err(), ctx.Value(key{}), test.want)
					}
					if got, ok := ctx.Deadline(); !ok || !got.Equal(at) {
						t.Errorf("Deadline %v, %v", got, ok)
					}
				}
			})
		})
	}
}

// What waits on a deadline is woken by it.
func TestDeadlineWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		d := &Deadline{parent: t.Context(), at: began.Add(time.Second)}
		defer d.End()
		<-d.Done()
		if took := time.Since(began); took != time.Second {
			t.Errorf("after %v", took)
		}
	})
}

// A Deadline that nobody asked for anything is used again; another one is left to who has it.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon, later := time.Now().Add(time.Second), time.Now().Add(time.Hour)
		d := Until(context.Background(), soon)
		d.End()
		again := d.Again(context.Background(), later)
		if at, _ := again.Deadline(); again != d || !at.Equal(later) || again.Err() != nil {
			t.Errorf("unasked: another one %v, until %v, %v", again != d, at, again.Err())
		}
		again.End()
		third := again.Again(context.Background(), soon)
		if third == again || third.Err() != nil || again.Err() != context.Canceled {
			t.Errorf("asked: the same %v, %v, and before %v", third == again, third.Err(), again.Err())
		}
		third.End()
	})
}
