package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// memoryPart reads the daemon's memory before and after many requests.
func memoryPart(ctx context.Context, h *harness, p plan) (section, error) {
	s := section{
		title: "Memory of kyc-agentd",
		about: "Resident set (VmRSS), memory store. Requests from 16 clients, each on a new connection, as kyc-token makes them.",
		head:  []string{"when", "MB"},
	}
	d, err := h.newDaemon(ctx, "memory", "memory")
	if err != nil {
		return s, err
	}
	defer d.process.stop()
	s.rss("started, not signed in", d)
	if err := d.login(ctx, "staging"); err != nil {
		return s, err
	}
	if _, err := d.token(ctx, "staging"); err != nil {
		return s, err
	}
	s.rss("idle, signed in, one token handed out", d)
	if err := askTimes(ctx, d.socket, p.requests); err != nil {
		return s, err
	}
	s.rss(fmt.Sprintf("after %d requests", p.requests), d)
	if err := pause(ctx, 2*time.Second); err != nil {
		return s, err
	}
	s.rss("2 s later", d)
	return s, nil
}

func (s *section) rss(when string, d *daemon) {
	kb := procField(filepath.Join("/proc", strconv.Itoa(d.process.cmd.Process.Pid), "status"), "VmRSS")
	cell := fmt.Sprintf("%.1f", float64(kb)/1024)
	if kb == 0 {
		cell = "unknown"
	}
	s.rows = append(s.rows, []string{when, cell})
}

// askTimes asks for a token n times, from 16 clients.
func askTimes(ctx context.Context, socket string, n int) error {
	var left atomic.Int64
	left.Store(int64(n))
	var once sync.Once
	var failed error
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			c := newCaller(socket, tokenOnce)
			for left.Add(-1) >= 0 && ctx.Err() == nil {
				if _, err := c.call(); err != nil {
					once.Do(func() { failed = err })
					return
				}
			}
		})
	}
	wg.Wait()
	return failed
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
