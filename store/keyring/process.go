package keyring

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	case err == errNotHardened:
		return answer{}, &unavailable{fmt.Sprintf("keyring %v: its helper did not say within %v that its memory is closed to other programs, and got no secret; try again",
			store.ErrUnavailable, r.Ready), ErrTimeout}
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
	ours, childIn, childOut, err := newChannel()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.options.Command[0], s.options.Command[1:]...)
	cmd.Env = environ(s.options.Getenv)
	cmd.Dir = os.TempDir() // so that the child does not depend on the daemon's working folder
	cmd.Stdin, cmd.Stdout = childIn, childOut
	detach(cmd)
	// The kernel sends the parent-death signal when the thread that forked ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Start()
	_, _ = childIn.Close(), childOut.Close() // on Unix they are the same
	if err != nil {
		return nil, err
	}
	line, err := converse(ctx, ours, r)
	if err != errNoAnswer {
		cancel()
	}
	if ended := cmd.Wait(); err == errNoAnswer && ended != nil {
		err = ended
	}
	return line, err
}

var (
	errTooLong     = errors.New("answer too long")
	errNoAnswer    = errors.New("it ended without an answer")
	errNotHardened = errors.New("it did not say that its memory is closed")
)

// A channel is the store's end of the connection to a child.
type channel interface {
	io.ReadWriteCloser
	CloseWrite() error
	SetDeadline(t time.Time) error
}

// converse sends r as soon as the child says that it has closed its memory, and returns the
// line that the child writes. A child that cannot close it answers without having got r. The
// error is errNoAnswer if the child ended.
func converse(ctx context.Context, child channel, r request) ([]byte, error) {
	message, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	// A grandchild may hold the connection open when the child has been killed.
	interrupt := func() { _ = child.SetDeadline(time.Now()) }
	defer context.AfterFunc(ctx, interrupt)()
	start, cancel := context.WithTimeoutCause(ctx, r.Ready, errTimeLimit)
	defer cancel()
	started := context.AfterFunc(start, interrupt)
	in := bufio.NewReader(io.LimitReader(child, maxMessage+2))
	first, err := in.ReadByte()
	late := !started() || err != nil
	switch {
	case late && (context.Cause(start) == errTimeLimit || context.Cause(ctx) == errTimeLimit): // the limits may be the same
		return nil, errNotHardened
	case err != nil:
		return nil, errNoAnswer
	case first != hardened:
		_ = in.UnreadByte()
	default:
		// An error means that the child has ended, and Wait says how.
		_, _ = child.Write(message)
		_ = child.CloseWrite()
	}
	return readLine(in)
}

// readLine reads a line of at most maxMessage bytes.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadBytes('\n')
	switch {
	case err == nil:
		return line[:len(line)-1], nil
	case len(line) > maxMessage:
		return nil, errTooLong
	}
	return nil, errNoAnswer
}
