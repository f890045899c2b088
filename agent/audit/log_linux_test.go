package audit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A full disk: refused at once, with room again answered again, and nothing half written.
func TestFullDisk(t *testing.T) {
	dir := testpeer.Tmpfs(t)
	key, err := Init(dir)
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, Options{Dir: dir, Mode: Required})
	if err := l.Record(t.Context(), token(1)); err != nil {
		t.Fatal(err)
	}
	noise := filepath.Join(dir, "noise")
	if err := os.WriteFile(noise, make([]byte, 64<<10), 0o600); err == nil {
		t.Fatal("there is room")
	}
	var refused error
	for n := 0; n < 20 && refused == nil; n++ { // the last block has room for a few lines
		refused = l.Record(t.Context(), token(1))
	}
	least := time.Hour // of five, since a busy machine may hold up any one
	for range 5 {
		begun := time.Now()
		if l.Record(t.Context(), token(1)) == nil {
			t.Error("answered on a full disk")
		}
		least = min(least, time.Since(begun))
	}
	if least > 50*time.Millisecond {
		t.Errorf("refused after %s", least)
	}
	e, _ := errors.AsType[*agent.Error](refused)
	if e == nil || e.Code != agent.CodeUnavailable || !strings.Contains(e.Error(), "no space left on device; make room") {
		t.Errorf("got %v", refused)
	}
	if err := os.Remove(noise); err != nil {
		t.Fatal(err)
	}
	if err := l.Record(t.Context(), token(1)); err != nil {
		t.Error("with room again:", err)
	}
	if got := problems(t, dir, VerifyOptions{Keys: []FirstKey{key}}); got != "" {
		t.Error(got)
	}
	if all := linesOf(t, dir); all[len(all)-1].Dropped != 0 || all[len(all)-1].Note != "" {
		t.Errorf("what was refused counts as dropped, or has left something: %+v", all[len(all)-1])
	}
}
