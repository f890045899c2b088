package main

import (
	"context"
	"fmt"
	"os"
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
		about: "Its own memory (RssAnon) and the resident set (VmRSS), which has the pages of the program in it. Memory store. Requests from 16 clients, each on a new connection, as kyc-token makes them.",
		head:  []string{"when", "RssAnon MB", "VmRSS MB"},
	}
	d, err := h.newDaemon(ctx, "memory", "memory")
	if err != nil {
		return s, err
	}
	defer d.process.stop()
	if err := s.readings(ctx, d, p); err != nil {
		return s, err
	}
	return s, s.sizes(h)
}

// readings reads the memory at several times.
func (s *section) readings(ctx context.Context, d *daemon, p plan) error {
	s.rss("started, not signed in", d)
	if err := d.login(ctx, "staging"); err != nil {
		return err
	}
	if _, err := d.token(ctx, "staging"); err != nil {
		return err
	}
	idle := s.rss("idle, signed in, one token handed out", d)
	s.target(fmt.Sprintf("RssAnon idle %.1f MB, target 4 at most", idle), idle <= 4)
	for done := 0; done < p.requests; {
		n := max(done*9, p.requests/10) // a tenth of them, then all
		if err := askTimes(ctx, d.socket, n); err != nil {
			return err
		}
		done += n
		after := s.rss(fmt.Sprintf("after %d requests", done), d)
		if done == p.requests {
			s.target(fmt.Sprintf("RssAnon after %d requests %.1f MB, target 8 at most", done, after), after <= 8)
		}
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	s.rss("2 s later", d)
	return nil
}

// rss adds a row, and returns the RssAnon in MB.
func (s *section) rss(when string, d *daemon) float64 {
	status := filepath.Join("/proc", strconv.Itoa(d.process.cmd.Process.Pid), "status")
	own, all := float64(procField(status, "RssAnon"))/1024, float64(procField(status, "VmRSS"))/1024
	s.rows = append(s.rows, []string{when, fmt.Sprintf("%.1f", own), fmt.Sprintf("%.1f", all)})
	return own
}

// sizes adds notes with the sizes of the programs.
func (s *section) sizes(h *harness) error {
	for _, name := range []string{"kyc-agentd", "kyc-token"} {
		info, err := os.Stat(h.path("bin/" + name))
		if err != nil {
			return err
		}
		s.notes = append(s.notes, fmt.Sprintf("The program %s has %d bytes.", name, info.Size()))
	}
	return nil
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
