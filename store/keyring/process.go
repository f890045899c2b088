package keyring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/store"
)

// SelfCommand returns the argv that runs this program with args. On Linux it names
// /proc/self/exe: after an upgrade the path from which the program was started holds
// another version, or nothing.
func SelfCommand(args ...string) []string {
	exe := "/proc/self/exe"
	if runtime.GOOS != "linux" {
		var err error
		if exe, err = os.Executable(); err != nil {
			exe = os.Args[0]
		}
	}
	return append([]string{exe}, args...)
}

var errTimeLimit = errors.New("the operation's time is up")

// run performs r in a child, which is killed after limit or when ctx ends.
func (s *Store) run(ctx context.Context, r request, limit time.Duration) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errTimeLimit)
	defer cancel()
	out, err := s.exchange(ctx, r)
	switch {
	case err == errTooLong:
		return answer{}, fmt.Errorf("keyring %w: its helper wrote more than %d bytes; reinstall kyc-agentd", store.ErrUnavailable, maxMessage)
	case context.Cause(ctx) == errTimeLimit && err != nil:
		return timedOut(r), nil
	case ctx.Err() != nil && err != nil:
		return answer{}, fmt.Errorf("keyring %w: %w", store.ErrUnavailable, ctx.Err())
	case err != nil:
		return answer{}, fmt.Errorf("keyring %w: its helper did not answer (%s); try again", store.ErrUnavailable, sanitize.Short(err.Error(), maxDetail))
	}
	a, err := parseAnswer(r.Op, out)
	if err != nil {
		return answer{}, fmt.Errorf("keyring %w: its helper's answer is invalid (%w); reinstall kyc-agentd", store.ErrUnavailable, err)
	}
	return a, nil
}

// timedOut returns the answer for a child that was killed after its time limit. If it
// could prompt, the keyring did answer, or the child would have sent codeTimeout much
// earlier; so it was a person who did not answer.
func timedOut(r request) answer {
	if r.Prompt {
		return answer{Code: codeDismissed}
	}
	return answer{Code: codeTimeout}
}

// exchange starts a child, sends it r and returns the line that it wrote. After that
// line the child is killed, because it has nothing left to do and may hang. The error
// is the reason why there is no line.
func (s *Store) exchange(ctx context.Context, r request) ([]byte, error) {
	if len(s.options.Command) == 0 {
		return nil, errors.New("no command to run it")
	}
	in, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := lineWriter{onComplete: cancel}
	cmd := exec.CommandContext(ctx, s.options.Command[0], s.options.Command[1:]...)
	cmd.Env = environ(s.options.Getenv)
	cmd.Dir = os.TempDir() // so that the child does not depend on the daemon's working folder
	cmd.Stdin, cmd.Stdout = bytes.NewReader(in), &out
	cmd.WaitDelay = time.Second // a grandchild may hold the pipes open
	detach(cmd)
	// The kernel sends the parent-death signal when the thread that forked ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	return out.result(err)
}

var (
	errTooLong  = errors.New("answer too long")
	errNoAnswer = errors.New("it ended without an answer")
)

// A lineWriter collects one line of at most maxMessage bytes from a child. It calls
// onComplete when it has the whole line, or more bytes than that.
type lineWriter struct {
	data       []byte
	onComplete func()
}

func (l *lineWriter) Write(p []byte) (int, error) {
	if l.complete() || l.tooLong() {
		return len(p), nil
	}
	l.data = append(l.data, p...)
	if l.complete() || l.tooLong() {
		l.onComplete()
	}
	return len(p), nil
}

func (l *lineWriter) complete() bool { return bytes.IndexByte(l.data, '\n') >= 0 }

func (l *lineWriter) tooLong() bool { return len(l.data) > maxMessage }

// result returns the line, or the reason why there is none. err is how the child ended.
func (l *lineWriter) result(err error) ([]byte, error) {
	before, _, found := bytes.Cut(l.data, []byte("\n"))
	switch {
	case len(before) > maxMessage:
		return nil, errTooLong
	case found:
		return before, nil
	case err == nil:
		return nil, errNoAnswer
	}
	return nil, err
}
