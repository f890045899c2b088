//go:build unix

package keyring_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/keyring"
)

// storeWithChild returns a store whose child is one of the fakes of TestMain.
func storeWithChild(timeout time.Duration, verb ...string) *keyring.Store {
	return keyring.New(keyring.Options{
		Command:       keyring.SelfCommand(verb...),
		Getenv:        func(string) string { return "" },
		Timeout:       timeout,
		PromptTimeout: timeout,
	})
}

const longTimeout = time.Minute // for a child that answers or ends without being killed

// Where the keyring has not taken a sign-in, the daemon has the only copy: no message may
// send a person to end it.
func TestHintsLoseNothing(t *testing.T) {
	for _, code := range []string{"locked", "dismissed", "no_collection", "no_service", "no_bus", "silent", "not_kept", "too_big", "panic", "failed"} {
		err := storeWithChild(longTimeout, "fake-answer", `{"code":"`+code+`"}`).Put(t.Context(), "prod", []byte("value"))
		if err == nil || strings.Contains(err.Error(), "restart kyc-agentd") && !strings.Contains(err.Error(), "when kyc-agentd status shows no unsaved sign-in, restart kyc-agentd") {
			t.Errorf("%s: %v", code, err)
		}
	}
}

func TestChildThatMisbehaves(t *testing.T) {
	for _, c := range []struct {
		name    string
		timeout time.Duration
		command []string
		want    string
	}{
		{"hangs", 300 * time.Millisecond, []string{"fake-hang"}, "no answer within 300ms"},
		{"panics", longTimeout, []string{"fake-panic"}, "its helper did not answer (exit status 2); try again"},
		{"says nothing", longTimeout, []string{"fake-mute"}, "its helper did not answer (it ended without an answer); try again"},
		{"fails", longTimeout, []string{"fake-exit"}, "its helper did not answer (exit status 3); try again"},
		{"never stops", longTimeout, []string{"fake-huge"}, "its helper wrote more than 262144 bytes; reinstall kyc-agentd"},
		{"garbage", longTimeout, []string{"fake-answer", "Segmentation fault"}, "its helper's answer is invalid (not the expected JSON object); reinstall kyc-agentd"},
		{"empty line", longTimeout, []string{"fake-answer", ""}, "is invalid"},
		{"unknown code", longTimeout, []string{"fake-answer", `{"code":"fine"}`}, "is invalid (unknown code)"},
		{"unknown field", longTimeout, []string{"fake-answer", `{"code":"ok","secret":1}`}, "is invalid"},
		{"a list of keys", longTimeout, []string{"fake-answer", `{"code":"ok","keys":["prod"]}`}, "is invalid (unexpected keys)"},
		{"a value and an error", longTimeout, []string{"fake-answer", `{"code":"locked","value":"eA=="}`}, "is invalid (unexpected value)"},
		{"two objects", longTimeout, []string{"fake-answer", `{"code":"ok"} {"code":"ok"}`}, "is invalid (more data after the JSON object)"},
		{"failed", longTimeout, []string{"fake-answer", `{"code":"failed","detail":"two\nlines"}`}, "it failed (two lines); try again"},
		{"panic told", longTimeout, []string{"fake-answer", `{"code":"panic","detail":"nil map"}`}, "its helper crashed (nil map)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := storeWithChild(c.timeout, c.command...).Get(t.Context(), "prod")
			if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Get: %v; want one line with %q", err, c.want)
			}
		})
	}
}

func TestChildThatCannotStart(t *testing.T) {
	for name, command := range map[string][]string{"none": nil, "missing": {"/nonexistent/kyc-agentd"}} {
		_, err := keyring.New(keyring.Options{Command: command}).Keys(t.Context())
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "its helper did not answer (") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCodes(t *testing.T) {
	for code, c := range map[string]struct {
		is   error
		want string
	}{
		"not_found":     {store.ErrNotFound, "keyring: prod: not found"},
		"locked":        {store.ErrLocked, "the keyring is locked; unlock it"},
		"dismissed":     {store.ErrLocked, "the keyring is still locked: its prompt was not answered"},
		"no_collection": {store.ErrUnavailable, "no default collection"},
		"no_service":    {store.ErrUnavailable, "no secret service on the session bus; start gnome-keyring"},
		"no_bus":        {store.ErrUnavailable, "no session bus; log in to a desktop session"},
		"silent":        {store.ErrUnavailable, "no answer within 1m0s"},
		"not_kept":      {nil, "it reported success for get prod, but did not do it"},
		"too_big":       {nil, "more than this keyring takes"},
	} {
		_, err := storeWithChild(longTimeout, "fake-answer", `{"code":"`+code+`"}`).Get(t.Context(), "prod")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", code, err, c.want)
		}
		for _, is := range []error{store.ErrNotFound, store.ErrLocked, store.ErrUnavailable} {
			if errors.Is(err, is) != (is == c.is) {
				t.Errorf("%s: errors.Is(%v, %v) = %v", code, err, is, is != c.is)
			}
		}
	}
}

// An answer is complete at the end of its line, even if the child then hangs.
func TestChildThatAnswersAndHangs(t *testing.T) {
	keys, err := storeWithChild(longTimeout, "fake-answer-and-hang", `{"code":"ok","keys":["a","b"]}`).Keys(t.Context())
	if err != nil || !slices.Equal(keys, []string{"a", "b"}) {
		t.Errorf("Keys = %q, %v", keys, err)
	}
}

func TestCancelKillsTheChild(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	fifo := newFifo(t)
	st := storeWithChild(longTimeout, "fake-hang", fifo.path)
	got := make(chan error)
	go func() {
		_, err := st.Get(ctx, "prod")
		got <- err
	}()
	fifo.awaitStart(t)
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get: %v", err)
	}
	fifo.awaitEnd(t)
	if advice := st.Describe().Advice; advice != "" {
		t.Errorf("a caller's cancellation is reported as an error of the keyring: %q", advice)
	}
}

func TestDeadlineKillsTheChildAndItsChildren(t *testing.T) {
	testpeer.Slow(t)
	fifo := newFifo(t)
	got := make(chan error)
	go func() {
		_, err := storeWithChild(5*time.Second, "fake-family", fifo.path).Get(t.Context(), "prod")
		got <- err
	}()
	fifo.awaitStart(t)
	if err := <-got; !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get: %v", err)
	}
	fifo.awaitEnd(t)
}

// A request that waits for one that hangs fails at its own time limit, or when its
// context ends, whichever is first.
func TestWaitingBehindAHungChild(t *testing.T) {
	fifo := newFifo(t)
	st := keyring.New(keyring.Options{
		Command: keyring.SelfCommand("fake-hang", fifo.path),
		Timeout: 200 * time.Millisecond, PromptTimeout: longTimeout,
	})
	ctx, cancel := context.WithCancel(store.WithPrompt(t.Context()))
	got := make(chan error)
	go func() {
		_, err := st.Get(ctx, "prod")
		got <- err
	}()
	fifo.awaitStart(t)
	_, err := st.Get(t.Context(), "staging")
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "still busy after 200ms with another operation") {
		t.Errorf("Get behind a hung one: %v", err)
	}
	short, stop := context.WithTimeout(store.WithPrompt(t.Context()), 10*time.Millisecond)
	defer stop()
	if err := st.Put(short, "staging", nil); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Put behind a hung one with a deadline: %v", err)
	}
	cancel()
	<-got
	fifo.awaitEnd(t)
}

// The child gets only the variables that it needs to find the keyring, whatever the
// daemon's environment contains, and the request only on its standard input.
func TestWhatTheChildIsGiven(t *testing.T) {
	daemon := map[string]string{
		"HOME": "/home/ana", "LANG": "de_DE.UTF-8", "XDG_RUNTIME_DIR": "/nonexistent",
		"CREDENTIALS_DIRECTORY": "/run/credentials", "NOTIFY_SOCKET": "/run/notify", "KYC_PASSWORD": "hunter2",
		"DISPLAY": ":0", "LD_PRELOAD": "/tmp/evil.so", "GODEBUG": "x=1",
	}
	st := keyring.New(keyring.Options{
		Command: keyring.SelfCommand("fake-mirror"), Timeout: longTimeout,
		Getenv: func(name string) string { return daemon[name] },
	})
	data, err := st.Get(t.Context(), "prod")
	if err != nil {
		t.Fatal(err)
	}
	var got mirrored
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got.Env)
	want := []string{"DBUS_SESSION_BUS_ADDRESS=disabled:", "GOTRACEBACK=none", "HOME=/home/ana", "LANG=de_DE.UTF-8", "XDG_RUNTIME_DIR=/nonexistent"}
	got.Env = slices.DeleteFunc(got.Env, func(e string) bool { return strings.HasPrefix(e, "SYSTEMROOT=") })
	if !slices.Equal(got.Env, want) {
		t.Errorf("the child's environment is %q, want %q", got.Env, want)
	}
	if len(got.Args) != 2 || !strings.Contains(got.Stdin, `"op":"get","key":"prod"`) {
		t.Errorf("argv %q, standard input %q", got.Args, got.Stdin)
	}
}

// A child that does not say that its memory is closed gets nothing, and is not waited for as
// long as a person at a prompt is.
func TestChildThatIsNotHardened(t *testing.T) {
	for _, prompt := range []bool{false, true} {
		fifo := newFifo(t)
		st := keyring.New(keyring.Options{
			Command: keyring.SelfCommand("fake-unready", fifo.path),
			Timeout: 2 * time.Second, PromptTimeout: longTimeout,
		})
		ctx := t.Context()
		if prompt {
			ctx = store.WithPrompt(ctx)
		}
		got := make(chan error)
		go func() { got <- st.Put(ctx, "prod", []byte("a secret")) }()
		fifo.awaitStart(t)
		const want = "keyring unavailable: its helper did not say within 2s that its memory is closed to other programs, and got no secret; try again"
		if err := <-got; err == nil || err.Error() != want || !errors.Is(err, store.ErrUnavailable) || !keyring.IsThere(err) {
			t.Errorf("with a prompt %t: %v", prompt, err)
		}
		fifo.awaitEnd(t) // after nothing
	}
}

// A child that cannot close its memory says so, and reads no request.
func TestChildThatCannotHarden(t *testing.T) {
	request, out := strings.NewReader(`{"op":"keys","ready":1,"limit":1}`), strings.Builder{}
	exit := keyring.Child(func() error { return errors.New("PR_SET_DUMPABLE: not permitted") }, request, &out)
	const want = `{"code":"failed","detail":"its memory stays readable: PR_SET_DUMPABLE: not permitted"}` + "\n"
	if exit != 0 || out.String() != want || request.Len() == 0 {
		t.Errorf("exit code %d, answer %q, %d bytes unread", exit, out.String(), request.Len())
	}
	if _, err := storeWithChild(longTimeout, "fake-exposed").Get(t.Context(), "prod"); err == nil ||
		!strings.HasPrefix(err.Error(), "keyring unavailable: it failed (its memory stays readable: no); try again") {
		t.Errorf("Get: %v", err)
	}
}

func TestTooLargeAValue(t *testing.T) {
	err := storeWithChild(longTimeout, "fake-answer", `{"code":"ok"}`).Put(t.Context(), "prod", make([]byte, 1<<16+1))
	if err == nil || !strings.Contains(err.Error(), "a value of 65537 bytes is above the limit of 65536") {
		t.Errorf("Put: %v", err)
	}
}

func TestChildRefusesRequests(t *testing.T) {
	for name, request := range map[string]string{
		"nothing":       ``,
		"no JSON":       `get prod`,
		"unknown op":    `{"op":"list","ready":1,"limit":1}`,
		"invalid key":   `{"op":"get","key":"../prod","ready":1,"limit":1}`,
		"key for keys":  `{"op":"keys","key":"prod","ready":1,"limit":1}`,
		"value for get": `{"op":"get","key":"prod","value":"eA==","ready":1,"limit":1}`,
		"no limits":     `{"op":"get","key":"prod"}`,
		"too long":      `{"op":"get","key":"` + strings.Repeat("k", 1<<18) + `"}`,
		"two":           `{"op":"keys","ready":1,"limit":1} {}`,
	} {
		var out strings.Builder
		if exit := keyring.Child(unprotected, strings.NewReader(request), &out); exit != 0 {
			t.Errorf("%s: exit code %d", name, exit)
		}
		if !strings.HasPrefix(out.String(), ` {"code":"failed","detail":"request: `) || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s: answer %q", name, out.String())
		}
	}
}

func TestChildWithoutAReader(t *testing.T) {
	if exit := keyring.Child(unprotected, strings.NewReader(""), brokenPipe{}); exit != 1 {
		t.Errorf("exit code %d, want 1", exit)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }
