package keyring_test

import (
	"os/exec"
	"testing"
)

func TestChildDiesWithTheDaemon(t *testing.T) {
	fifo := newFifo(t)
	daemon := exec.Command("/proc/self/exe", "fake-daemon", fifo.path)
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = daemon.Wait() }()
	fifo.awaitStart(t)
	if err := daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	fifo.awaitEnd(t)
}
