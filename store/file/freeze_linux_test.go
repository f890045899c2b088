package file_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/file"
)

// While the disk is frozen, a write ends with an error in time, so that the agent counts
// the sign-in as unsaved; the next ones at once; and what was read before can be read.
// Afterwards the store works by itself, and the write that was given up does not replace
// a newer one.
func TestFrozenDisk(t *testing.T) {
	const limit = 300 * time.Millisecond
	disk, id := testpeer.NewDisk(t), newHybrid(t)
	dir := filepath.Join(disk.Dir, "kyc-agent")
	s := open(t, dir, id)
	file.SetLimitForTest(s, limit)
	put(t, s, "prod", []byte("1"))
	thaw := disk.Freeze()
	for n, want := range []string{"2", "3"} {
		start := time.Now()
		err := s.Put(t.Context(), "prod", []byte(want))
		wantError(t, err, "file store: the file system of "+dir+" does not answer; check its disk or its server")
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%v does not wrap store.ErrUnavailable", err)
		}
		if took := time.Since(start); took > 10*limit || n > 0 && took > limit {
			t.Errorf("Put %d took %v", n+1, took)
		}
	}
	wantError(t, s.Delete(t.Context(), "prod"), "does not answer")
	want(t, s, "prod", "1")
	if _, err := s.Keys(t.Context()); err != nil {
		t.Errorf("Keys: %v", err)
	}
	thaw()
	file.SetLimitForTest(s, time.Minute)
	put(t, s, "prod", []byte("4"))
	want(t, s, "prod", "4")
	want(t, reopen(t, s, id), "prod", "4")
	if n := countTemps(t, dir); n != 0 {
		t.Errorf("%d half-written files are left", n)
	}
}

// The end and the start of a daemon are bounded, too. The folder stays locked while a
// write may still be completed.
func TestFrozenDiskAtTheEndAndTheStart(t *testing.T) {
	disk, id := testpeer.NewDisk(t), newHybrid(t)
	dir := filepath.Join(disk.Dir, "kyc-agent")
	s := open(t, dir, id)
	file.SetLimitForTest(s, 300*time.Millisecond)
	thaw := disk.Freeze()
	wantError(t, s.Put(t.Context(), "prod", []byte("1")), "does not answer")
	wantError(t, s.Close(), "does not answer")
	start := time.Now()
	_, err := file.Open(filepath.Join(disk.Dir, "another"), id)
	wantError(t, err, "the file system of "+disk.Dir+"/another does not answer")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("Open took %v", took)
	}
	_, err = file.Open(dir, id)
	wantError(t, err, "is in use by another kyc-agentd")
	thaw()
}
