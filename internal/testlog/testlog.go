// Package testlog keeps what a logger or a child process writes for a test to read.
//
//	var log testlog.Buffer
//	server := &ipc.Server{Logger: log.Logger()}
//	...
//	if strings.Contains(log.String(), secret) {
//
// A child process writes to one too: cmd.Stderr = &log.
package testlog

import (
	"bytes"
	"log/slog"
	"sync"
)

// A Buffer is a bytes.Buffer that one goroutine can read while others write. The zero
// Buffer is empty and ready.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends p.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns everything that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Logger returns a logger that writes into b: as text, from debug level on.
func (b *Buffer) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
