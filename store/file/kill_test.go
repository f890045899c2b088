//go:build unix

package file_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/file"
)

// writerVerb is the argument with which the test binary becomes the process to kill.
const writerVerb = "store-file-writer"

// record is the n-th value. It repeats its number, so that a mixture of two is detected.
func record(n int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%08d ", n), 240)
}

// writer puts one record after the other and prints each number once it is durable.
func writer(dir, keyFile string) {
	ids, _, err := file.FindIdentity(os.Getenv, keyFile)
	if err == nil {
		var s *file.Store
		if s, err = file.Open(dir, ids...); err == nil {
			err = writeRecords(s)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func writeRecords(s *file.Store) error {
	first := 1
	if value, err := s.Get(context.Background(), "prod"); err == nil {
		first, _ = strconv.Atoi(string(value[:8]))
	}
	for n := first + 1; ; n++ {
		if err := s.Put(context.Background(), "prod", record(n)); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// TestKilledWhileWriting kills a writing process at random instants. Afterwards the
// store must hold the last record that the process printed or the one after it, complete.
func TestKilledWhileWriting(t *testing.T) {
	testpeer.Slow(t)
	const rounds = 60
	dir := newPrivateDir(t)
	keyFile := filepath.Join(t.TempDir(), "store.key")
	if _, err := file.Keygen(keyFile); err != nil {
		t.Fatal(err)
	}
	ids, _, err := file.FindIdentity(getenv(nil), keyFile)
	if err != nil {
		t.Fatal(err)
	}
	leftovers, written, kills := 0, 1, 0
	// Continue until a kill came between the temporary file and its rename.
	for ; kills < rounds || leftovers == 0 && kills < 10*rounds; kills++ {
		said := max(written, runAndKill(t, dir, keyFile, kills%2 == 0))
		leftovers += countTemps(t, dir)
		value, err := openAndGet(t, dir, ids...)
		if errors.Is(err, store.ErrNotFound) && said == 1 {
			continue // killed before its first record
		}
		if err != nil {
			t.Fatalf("after a kill: %v", err)
		}
		got, err := strconv.Atoi(string(value[:8]))
		if err != nil || !bytes.Equal(value, record(got)) {
			t.Fatalf("a torn value: %.40q", value)
		}
		if got != said && got != said+1 {
			t.Fatalf("record %d is there; %d was durable and %d in flight", got, said, said+1)
		}
		written = got
	}
	t.Logf("%d kills, %d records written, %d leftovers cleaned", kills, written-1, leftovers)
	if leftovers == 0 {
		t.Error("no kill came during a write: the test proves nothing")
	}
}

// openAndGet is the restart after a kill. It closes the store for the next writer.
func openAndGet(t *testing.T, dir string, ids ...age.Identity) ([]byte, error) {
	t.Helper()
	s := open(t, dir, ids...)
	defer func() { _ = s.Close() }()
	if n := countTemps(t, dir); n != 0 {
		t.Fatalf("%d leftovers after Open", n)
	}
	return s.Get(t.Context(), "prod")
}

// runAndKill kills a writer at a random instant after its first record, or after
// its start, and returns the last number that it printed, or 0.
func runAndKill(t *testing.T, dir, keyFile string, writing bool) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], writerVerb, dir, keyFile)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, last := bufio.NewScanner(out), 0
	next := func() bool {
		if !lines.Scan() {
			return false
		}
		last, _ = strconv.Atoi(lines.Text())
		return true
	}
	delay := rand.N(100 * time.Millisecond)
	if writing && next() {
		delay /= 10
	}
	timer := time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	for next() {
	}
	_ = cmd.Wait()
	if stderr.Len() != 0 {
		t.Fatalf("the writer failed: %s", stderr.String())
	}
	return last
}

func countTemps(t *testing.T, dir string) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, ".new-*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
