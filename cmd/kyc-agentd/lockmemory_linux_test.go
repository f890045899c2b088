package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store/file"
)

// inMemory returns which of the secrets a process has in its memory, as root reads it.
func inMemory(t *testing.T, pid int, secrets map[string]string) (found []string) {
	t.Helper()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	read, seen := 0, map[string]bool{}
	for _, run := range pagesInUse(t, pid) {
		buf := make([]byte, run.end-run.start)
		n, _ := mem.ReadAt(buf, run.start)
		read += n
		for name, secret := range secrets {
			if bytes.Contains(buf[:n], []byte(secret)) {
				seen[name] = true
			}
		}
	}
	if read < 1<<20 {
		t.Fatalf("only %d bytes of memory could be read", read)
	}
	for name := range secrets {
		if seen[name] {
			found = append(found, name)
		}
	}
	return found
}

// An addressRange is from start to before end.
type addressRange struct{ start, end int64 }

// pagesInUse returns the runs of pages that are in memory or in swap. To read any other would make
// it, and Go reserves a gigabyte of them.
func pagesInUse(t *testing.T, pid int) (runs []addressRange) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	pagemap, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer pagemap.Close()
	size := int64(os.Getpagesize())
	for line := range strings.Lines(string(maps)) {
		var m addressRange
		if _, err := fmt.Sscanf(line, "%x-%x", &m.start, &m.end); err != nil {
			continue // vsyscall, which is the kernel's
		}
		entries := make([]byte, (m.end-m.start)/size*8)
		n, _ := pagemap.ReadAt(entries, m.start/size*8)
		first := len(runs) // no run goes on from one mapping to the next: some cannot be read
		for i := range int64(n / 8) {
			const presentOrSwapped = 3 << 62
			if binary.NativeEndian.Uint64(entries[i*8:])&presentOrSwapped == 0 {
				continue
			}
			at := m.start + i*size
			if last := len(runs) - 1; last >= first && runs[last].end == at {
				runs[last].end += size
			} else {
				runs = append(runs, addressRange{at, at + size})
			}
		}
	}
	return runs
}

// plainRecord is what the file store has of an environment, decrypted.
func (s *binaries) plainRecord(environment string) []byte {
	s.t.Helper()
	identities, _, err := file.FindIdentity(func(string) string { return "" }, filepath.Join(s.dir, "store.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	sealed, err := os.ReadFile(filepath.Join(s.dir, ".local", "state", "kyc-agent", environment+".age"))
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), identities...)
	if err != nil {
		s.t.Fatal(err)
	}
	record, err := io.ReadAll(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return record
}

// Right after a lock neither the daemon's memory nor the store nor a token file has a token,
// and the passphrase is not in memory after an unlock.
func TestNothingIsInMemoryWhileLocked(t *testing.T) {
	testpeer.Root(t)
	s, _ := newSignedIn(t, cognitotest.Rotation(time.Minute))
	s.fileStore()
	sink := filepath.Join(s.dir, "token")
	config := filepath.Join(s.dir, ".config", "kyc-agent", "config.toml")
	text, err := os.ReadFile(config)
	if err == nil {
		err = os.WriteFile(config, fmt.Appendf(text, "\n[[sinks]]\nenvironment = \"prod\"\nformat = \"token\"\npath = %q\n", sink), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	s.login("prod", "ada", "Plum-stone-41")
	s.setPassphrase()
	for round := range testpeer.Rounds(1, 20) {
		id := strings.TrimSpace(s.must("kyc-token", "prod"))
		awaitState(t, "the token file", func() bool { _, err := os.Stat(sink); return err == nil })
		var record struct {
			RefreshToken string `json:"refresh_token"`
		}
		if err := json.Unmarshal(s.plainRecord("prod"), &record); err != nil || record.RefreshToken == "" {
			t.Fatal(err)
		}
		secrets := map[string]string{
			"ID token": id[len(id)-40:], "refresh token": record.RefreshToken[:40], "record": `"refresh_token":"` + record.RefreshToken[:8],
			"passphrase": lockPassphrase,
		}
		pid := s.status().PID
		if found := inMemory(t, pid, map[string]string{"ID token": secrets["ID token"], "refresh token": secrets["refresh token"]}); len(found) != 2 {
			t.Fatalf("before the lock the memory has %v", found)
		}
		s.must("kyc-agentd", "lock")
		locked := time.Now()
		if found := inMemory(t, pid, secrets); len(found) > 0 {
			t.Errorf("round %d: the memory has %v", round, found)
		}
		if data := s.plainRecord("prod"); bytes.Contains(data, []byte("refresh_token")) || !bytes.HasPrefix(data, []byte(`{"v":2,`)) {
			t.Errorf("round %d: the store has %.20s", round, data)
		}
		if _, err := os.Stat(sink); err == nil {
			t.Errorf("round %d: the token file is there", round)
		}
		t.Logf("looked %s after the lock", time.Since(locked))
		s.unlock()
		if found := inMemory(t, pid, map[string]string{"passphrase": lockPassphrase}); len(found) > 0 {
			t.Errorf("round %d: after the unlock the memory has %v", round, found)
		}
	}
}
