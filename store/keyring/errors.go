package keyring

import (
	"errors"
	"fmt"

	"github.com/legaltalent/kyc-agent/store"
)

// A code is the result of a request. The child sends only the code over the pipe; the
// text of the error is made here.
type code string

const (
	codeOK           code = "ok"
	codeNotFound     code = "not_found"
	codeLocked       code = "locked"
	codeDismissed    code = "dismissed"     // the prompt was not answered; still locked
	codeNoCollection code = "no_collection" // a keyring without a collection for items
	codeNoService    code = "no_service"
	codeNoBus        code = "no_bus"
	codeTimeout      code = "silent" // a bus or a keyring that does not answer
	codeNotStored    code = "not_kept"
	codeTooBig       code = "too_big"
	codePanic        code = "panic"
	codeFailed       code = "failed"
)

var codes = []code{
	codeOK, codeNotFound, codeLocked, codeDismissed, codeNoCollection, codeNoService, codeNoBus,
	codeTimeout, codeNotStored, codeTooBig, codePanic, codeFailed,
}

const (
	// gnome-keyring reads its whole input as the password, including a final newline.
	unlockHint = `unlock it in your desktop's password manager; without a desktop run: read -rs P; printf %s "$P" | gnome-keyring-daemon --replace --unlock`
	// A restart loses what the keyring has not taken.
	fileHint = `or keep sign-ins in files: run kyc-agentd keygen, set store = "file" and, when kyc-agentd status shows no unsaved sign-in, restart kyc-agentd`
)

// The reasons why a keyring is unavailable. An error that wraps one of these wraps
// [store.ErrUnavailable], too.
var (
	// ErrNoKeyring means that there is no keyring: no session bus, no secret service on
	// it, or no collection that could hold items.
	ErrNoKeyring = errors.New("no keyring")
	// ErrTimeout means that the keyring or the session bus did not answer in time.
	ErrTimeout = errors.New("no answer from the keyring")
)

var reasonErrors = map[code]error{
	codeNoCollection: ErrNoKeyring, codeNoService: ErrNoKeyring, codeNoBus: ErrNoKeyring, codeTimeout: ErrTimeout,
}

// IsThere reports whether err, the result of an operation, is that of a keyring: one that
// is locked or silent exists. Sign-ins may be in it.
func IsThere(err error) bool {
	return !errors.Is(err, store.ErrUnavailable) || errors.Is(err, ErrTimeout)
}

// unavailable is a [store.ErrUnavailable] whose text is complete.
type unavailable struct {
	text   string
	reason error // may be nil
}

func (u *unavailable) Error() string { return u.text }

// Is matches [store.ErrUnavailable] and the reason.
func (u *unavailable) Is(target error) bool {
	return target == store.ErrUnavailable || u.reason != nil && target == u.reason
}

// A backendError is an error of the keyring, with its code. It exists only in the child.
type backendError struct {
	code   code
	detail string
}

func (f *backendError) Error() string { return string(f.code) + ": " + f.detail }

// err returns the answer to r as an error of the store, nil for codeOK.
func (a answer) err(r request) error {
	switch a.Code {
	case codeOK:
		return nil
	case codeNotFound:
		return fmt.Errorf("keyring: %s: %w", r.Key, store.ErrNotFound)
	case codeLocked:
		return fmt.Errorf("the keyring is %w; %s", store.ErrLocked, unlockHint)
	case codeDismissed:
		return fmt.Errorf("the keyring is still %w: its prompt was not answered, or could not be shown; %s", store.ErrLocked, unlockHint)
	case codeTooBig:
		return fmt.Errorf("keyring: a value of %d bytes is more than this keyring takes; %s", len(r.Value), fileHint)
	case codeNotStored:
		return fmt.Errorf("keyring: it reported success for %s %s, but did not do it: its prompt may have been dismissed; try again and answer it", r.Op, r.Key)
	}
	return &unavailable{fmt.Sprintf("keyring %v: %s", store.ErrUnavailable, a.reason(r)), reasonErrors[a.Code]}
}

// reason returns why the keyring is unavailable and what to do about it.
func (a answer) reason(r request) string {
	detail := ""
	if a.Detail != "" {
		detail = " (" + a.Detail + ")"
	}
	switch a.Code {
	case codeNoCollection:
		return "it has no default collection to keep sign-ins in; log in to your desktop once, which makes one, " + fileHint
	case codeNoService:
		return "no secret service on the session bus" + detail + "; start gnome-keyring, KWallet or KeePassXC, " + fileHint
	case codeNoBus:
		return "no session bus" + detail + "; log in to a desktop session, " + fileHint
	case codeTimeout:
		return fmt.Sprintf("no answer within %v: it or the session bus hangs; restart it, %s", r.Ready, fileHint)
	case codePanic:
		return "its helper crashed" + detail + "; the session bus may have gone away: try again"
	}
	return "it failed" + detail + "; try again, " + fileHint
}
