// Package logging chooses the slog handler: coloured text on a terminal, the journal under
// systemd, JSON otherwise. [New] returns the logger.
//
// What the daemon logs: one line, or one entry of the journal, for one event, at level
// info unless it says otherwise. The fields have the same names everywhere; in the
// journal they are KYC_ENV, KYC_OP and so on.
//
//	env       the environment
//	op        what was done: refresh, login, logout, recover, save; of a request: token,
//	          helper, status, login, login-answer, login-wait, login-cancel, account,
//	          logout, reload, metrics, proxy, or request for what is none of these
//	code      of the error, as in the API: login_required, unavailable, …
//	duration  how long it took
//	pid, exe  the process that asked, and its program as far as it can be told
//	error     what went wrong, in words for a person; cause: what is behind it
//
// The events:
//
//	ready, stopping, stopped           the daemon: socket, store, version; reason
//	configuration reloaded           a reload; error when it cannot be used
//	signed in, signed in unattended    op login; warn: not signed in
//	ID token refreshed                 op refresh; warn: ID token not refreshed
//	signed out                         op logout, scope; warn: not revoked at Cognito
//	account recovered                  op recover; warn: account not recovered
//	the newest refresh token could …   error, op save: it is in memory only
//	request                            one that failed: each failure once an hour for each
//	                                   op, env, code and exe, the others and what went
//	                                   well at debug; error: an internal error
//	refused a process of another user  warn: uid, pid
//	net/http reported a fault          warn: a bug, in words that may quote a request
//	Cognito call                       debug: each call, with its duration
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
)

// New returns the daemon's log, written to w: coloured lines where w is a
// terminal, records with fields where it is the journal, JSON otherwise. Raising or
// lowering level later changes what is logged from then on.
//
// Secrets redact themselves (agent.Secret), so a level is never a question of secrecy.
func New(w io.Writer, level slog.Leveler, vars config.Environ) *slog.Logger {
	return slog.New(newHandler(w, level, vars))
}

func newHandler(w io.Writer, level slog.Leveler, vars config.Environ) slog.Handler {
	f, isFile := w.(*os.File)
	switch {
	case isFile && term.IsTerminal(int(f.Fd())):
		return tint.NewTextHandler(w, &tint.Options{Level: level, NoColor: vars.NoColor()})
	case isFile && f == os.Stderr && stderrIsJournal():
		return newJournalHandler(level, withFallback(w, journal.Send))
	default:
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: stringDurations})
	}
}

// stringDurations has JSON say "3ms", as the other forms do, and not a number of nanoseconds.
func stringDurations(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// stderrIsJournal compares stderr with $JOURNAL_STREAM. That a journal is running
// (journal.Enabled) says nothing of where stderr goes.
func stderrIsJournal() bool {
	ok, err := journal.StderrIsJournalStream()
	return ok && err == nil
}

// withFallback is send, and where that fails a line on w: the journal's socket may be out of reach
// (another root, a sandbox) where the pipe that systemd made of stderr is not.
func withFallback(w io.Writer, send sendEntry) sendEntry {
	return func(message string, p journal.Priority, fields map[string]string) error {
		if err := send(message, p, fields); err == nil {
			return nil
		}
		_, err := fmt.Fprintf(w, "<%d>%s\n", p, message) // sd-daemon(3)
		return err
	}
}

// IgnoreSIGPIPE has a write to standard error fail where nobody reads it any more. Go
// ends a program then that has not asked for SIGPIPE (os/signal), and systemd's
// IgnoreSIGPIPE= does not keep it from that. To ignore the signal would hand that on to
// the command of `run`.
func IgnoreSIGPIPE() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
