package keyring_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/store/keyring"
)

// No process, not even this one, can open the connection through /proc/PID/fd while the child
// runs: a pipe could be opened, and would give the thief the record in the child's place.
func TestRequestCannotBeOpened(t *testing.T) {
	st := keyring.New(keyring.Options{
		Command: keyring.SelfCommand("keyring-child"), Timeout: longTimeout,
		Getenv: func(string) string { return "" }, // without a session bus
	})
	children, opened := map[string]bool{}, map[string]bool{}
	for n := 0; len(children) < 20 && n < 200; n++ { // on a busy machine a child may end unseen
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = st.Put(t.Context(), "prod", []byte("a value"))
		}()
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			for _, child := range childrenOfThis() {
				children[child] = true
				if canOpenPipe("/proc/"+child+"/fd/0") || canOpenPipe("/proc/"+child+"/fd/1") {
					opened[child] = true
				}
			}
		}
	}
	t.Logf("%d children, %d opened", len(children), len(opened))
	if len(children) < 20 || len(opened) != 0 {
		t.Errorf("of %d children %d were opened", len(children), len(opened))
	}
}

// canOpenPipe reports whether path is a pipe that opens. Before its execve a child has this
// process's own descriptors, which do not count.
func canOpenPipe(path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return false
	}
	for _, own := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		if o, err := own.Stat(); err == nil && os.SameFile(info, o) {
			return false
		}
	}
	return true
}

func childrenOfThis() (pids []string) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", os.Getpid()))
	for _, path := range tasks {
		text, _ := os.ReadFile(path)
		pids = append(pids, strings.Fields(string(text))...)
	}
	return pids
}
