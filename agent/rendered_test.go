package agent

import (
	"sync"
	"testing"
)

func TestRendered(t *testing.T) {
	var r Rendered
	if !r.Empty() || r.Text("token") != nil {
		t.Error("a new one has a text")
	}
	r.Keep("token", []byte("t"))
	r.Keep("curl", []byte("c"))
	if string(r.Text("token")) != "t" || string(r.Text("curl")) != "c" || r.Text("header") != nil || r.Empty() {
		t.Errorf("%q, %q, %q", r.Text("token"), r.Text("curl"), r.Text("header"))
	}
	if r.Authorization() != nil {
		t.Error("there is a header")
	}
	r.KeepAuthorization([]string{"Bearer t"})
	if got := r.Authorization(); len(got) != 1 || got[0] != "Bearer t" {
		t.Errorf("the header is %q", got)
	}
	var none *Rendered
	none.Keep("token", []byte("t"))
	none.KeepAuthorization([]string{"Bearer t"})
	if !none.Empty() || none.Text("token") != nil || none.Authorization() != nil {
		t.Error("nil has a text")
	}
}

func TestRenderedAtOnce(t *testing.T) {
	var r Rendered
	var wg sync.WaitGroup
	for _, format := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			for r.Text(format) == nil {
				r.Keep(format, []byte(format))
			}
		})
	}
	wg.Wait()
	for _, format := range []string{"a", "b", "c", "d"} {
		if got := string(r.Text(format)); got != format {
			t.Errorf("%s is %q", format, got)
		}
	}
}
