package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

const (
	slowCognito        = 4 * time.Second
	stalledClientCount = 50                   // clients
	target             = 5 * time.Millisecond // for the p99 of any answer from memory
	pace               = 2 * time.Millisecond // between two timed answers
	// A token is valid for an hour. One that is older than tokenAge is not valid for
	// minValid any more, so the agent has to ask Cognito for another. minValid is less
	// than an hour minus slowCognito, because the agent does not ask for a token if even
	// a new one would not be valid long enough.
	minValid = "3594s"
	tokenAge = 7 * time.Second
)

// stalledPart times answers from memory while another request stalls.
func stalledPart(ctx context.Context, h *harness, p plan) (section, error) {
	s := section{
		title: "Answers while other requests stall",
		about: fmt.Sprintf("Up to %d answers each, every one on a new connection, %v apart. Target for p99: %v.", p.answers, pace, target),
		head:  []string{"situation", "p50 ms", "p99 ms", "slowest", "target"},
	}
	d, err := h.newDaemon(ctx, "stall", "memory")
	if err != nil {
		return s, err
	}
	defer d.process.stop()
	for _, environment := range []string{"staging", "prod"} {
		if err := d.login(ctx, environment); err != nil {
			return s, err
		}
	}
	if err := pause(ctx, tokenAge); err != nil {
		return s, err
	}
	for _, situation := range []func(context.Context, *daemon, plan) error{
		s.unloaded, s.slowRefresh, s.stalledClients, s.rejectedSignIn,
	} {
		if err := situation(ctx, d, p); err != nil {
			return s, err
		}
	}
	for _, n := range []int{20, 200} {
		if err := s.coldStart(ctx, h, n); err != nil {
			return s, err
		}
	}
	return s, nil
}

// row adds the row of one situation.
func (s *section) row(name string, t timings) {
	verdict := "met"
	if t.at(0.99) >= target {
		verdict = "MISSED"
	}
	s.rows = append(s.rows, []string{name, millis(t.median()), millis(t.at(0.99)), millis(t.at(1)), verdict})
}

// answers times n answers to each of the requests, in turn. If ctx ends before, it
// returns the timings so far and the cause.
func answers(ctx context.Context, socket string, n int, requests ...string) ([]timings, error) {
	times := make([]timings, len(requests))
	for range n {
		for i, request := range requests {
			began := time.Now()
			if _, err := newCaller(socket, request).call(); err != nil {
				return nil, err
			}
			took := time.Since(began)
			if err := pause(ctx, pace); err != nil {
				return times, err
			}
			times[i] = append(times[i], took)
		}
	}
	return times, nil
}

// freshTokenRequest asks for a token that stays valid longer than the agent's own.
func freshTokenRequest(environment string) string {
	return "GET /v1/token?env=" + environment + "&min_valid=" + minValid +
		" HTTP/1.0\r\nHost: kyc-agent\r\nAccept: text/plain\r\n\r\n"
}

func (s *section) unloaded(ctx context.Context, d *daemon, p plan) error {
	t, err := answers(ctx, d.socket, p.answers, tokenOnce)
	if err == nil {
		s.row("cached token, no other request", t[0])
	}
	return err
}

// slowRefresh: a refresh of the same environment is in flight all the time.
func (s *section) slowRefresh(ctx context.Context, d *daemon, p plan) error {
	pool := d.harness.staging
	pool.ForgetCalls()
	pool.SetLatency(cognitotest.Refresh, slowCognito)
	defer pool.SetLatency(cognitotest.Refresh, 0)
	refreshing, done := context.WithCancelCause(ctx)
	go func() {
		_, err := newCaller(d.socket, freshTokenRequest("staging")).call()
		done(cmp.Or(err, errRefreshDone))
	}()
	if err := pool.WaitCalls(refreshing, cognitotest.Refresh, 1); err != nil {
		return fmt.Errorf("no refresh: %w", context.Cause(refreshing))
	}
	t, err := answers(refreshing, d.socket, p.answers, tokenOnce, statusGet)
	if err != nil && err != errRefreshDone { // a slow machine gets fewer answers in that time
		return err
	}
	s.row(fmt.Sprintf("cached token while Cognito needs %v", slowCognito), t[0])
	s.row(fmt.Sprintf("status while Cognito needs %v", slowCognito), t[1])
	<-refreshing.Done()
	if err := context.Cause(refreshing); err != errRefreshDone {
		return err
	}
	return nil
}

var errRefreshDone = errors.New("the refresh has ended")

// stalledClients: many clients have sent half a request.
func (s *section) stalledClients(ctx context.Context, d *daemon, p plan) error {
	var clients []net.Conn
	for range stalledClientCount {
		c, err := net.Dial("unix", d.socket)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := io.WriteString(c, tokenOnce[:len(tokenOnce)/2]); err != nil {
			return err
		}
		clients = append(clients, c)
	}
	t, err := answers(ctx, d.socket, p.answers, tokenOnce)
	if err != nil {
		return err
	}
	for _, c := range clients {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("a stalled client was disconnected before the measurement ended: %v", err)
		}
	}
	s.row(fmt.Sprintf("cached token while %d clients stall in mid-request", stalledClientCount), t[0])
	return nil
}

// rejectedSignIn: Cognito has ended the other environment's sign-in, and a client keeps
// asking for its token.
func (s *section) rejectedSignIn(ctx context.Context, d *daemon, p plan) error {
	d.harness.prod.SignOutUser(user)
	refused := newCaller(d.socket, freshTokenRequest("prod"))
	refused.want = 401
	if _, err := refused.call(); err != nil {
		return err
	}
	over, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		for over.Err() == nil && failed == nil {
			_, failed = refused.call()
		}
	})
	t, err := answers(ctx, d.socket, p.answers, tokenOnce)
	stop()
	wg.Wait()
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	s.row("cached token while the other environment is rejected", t[0])
	return nil
}

// coldStart counts the calls to Cognito when many kyc-token run at once and the daemon
// has just started, with nothing but the refresh token in its file.
func (s *section) coldStart(ctx context.Context, h *harness, n int) error {
	d, err := h.newColdDaemon(ctx)
	if err != nil {
		return err
	}
	defer d.process.stop()
	h.staging.ForgetCalls()
	h.staging.SetLatency(cognitotest.Refresh, 500*time.Millisecond)
	defer h.staging.SetLatency(cognitotest.Refresh, 0)
	tokens, times, err := atOnce(n, func() (string, error) { return d.token(ctx, "staging") })
	if err != nil {
		return err
	}
	slices.Sort(tokens)
	different := len(slices.Compact(tokens))
	calls := h.staging.Calls(cognitotest.Refresh)
	s.target(fmt.Sprintf("%d kyc-token at once on a cold session, while a refresh takes 0.5 s: %d refresh at Cognito for all, %d token, "+
		"p50 %.2f s, p99 %.2f s; target 1 refresh", n, calls, different, times.median().Seconds(), times.at(0.99).Seconds()),
		calls == 1 && different == 1)
	return nil
}

// atOnce calls f n times at the same time.
func atOnce(n int, f func() (string, error)) ([]string, timings, error) {
	results, times, errs := make([]string, n), make(timings, n), make([]error, n)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			results[i], errs[i] = f()
			times[i] = time.Since(began)
		})
	}
	wg.Wait()
	return results, times, errors.Join(errs...)
}

// newColdDaemon starts a daemon with the sign-in that an earlier daemon wrote to a file.
func (h *harness) newColdDaemon(ctx context.Context) (*daemon, error) {
	first, err := h.newDaemon(ctx, "cold", "file")
	if err != nil {
		return nil, err
	}
	err = first.login(ctx, "staging")
	first.process.stop()
	if err != nil {
		return nil, err
	}
	return h.newDaemon(ctx, "cold", "file")
}
