// Package logging chooses the slog handler: coloured text on a terminal, the journal under
// systemd, JSON otherwise. [New] returns the logger.
//
// The daemon logs one line, or one entry of the journal, for each event, at level info
// unless stated otherwise. The fields have the same names everywhere; in the journal they
// are KYC_ENV, KYC_OP and so on.
//
//	env       the environment
//	op        the operation: refresh, login, logout, recover, save; of a request: token,
//	          helper, status, login, login-answer, login-wait, login-cancel, account,
//	          logout, reload, metrics, proxy, or request if it matched none of these
//	code      of the error, as in the API: login_required, unavailable, …
//	duration  how long it took
//	pid, exe  the process that asked, and its program as far as it can be told
//	error     what went wrong, in words for a person; cause: the error behind it
//
// The events:
//
//	ready, stopping, stopped           the daemon: socket, store, version; reason
//	configuration reloaded           a reload; error when it cannot be used
//	serving a socket with a policy     socket, path, environments; info: removed a socket with …
//	signed in, signed in unattended    op login; warn: not signed in
//	ID token refreshed                 op refresh; warn: ID token not refreshed
//	signed out                         op logout, scope
//	not revoked at Cognito, …          warn, op logout: user, signed_in_at
//	revoked a refresh token that …     came too late: op logout
//	account recovered                  op recover; warn: account not recovered
//	the newest refresh token could …   error, op save: it is in memory only
//	the store is up to date again      op save
//	the store does not have the …      error, op save: at the end
//	the agent ended during a refresh…  op start
//	audit head                         the audit log's last line: chain, n, hash, file
//	the audit log …                    op audit: warn, or error where lines are required
//	request                            a request that failed: once an hour for each op,
//	                                   configured env, code and exe, at debug otherwise,
//	                                   as are requests that succeeded; error: an internal
//	                                   error. 256 such lines an hour for a socket
//	refused a process of another user  warn: uid, pid; once an hour for each user
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

// New returns a logger that writes to w: coloured lines if w is a terminal, entries with
// fields if it is the journal, else JSON. A later change of level takes effect at once.
//
// Secrets redact themselves (agent.Secret), so no level shows one. Every text is one line of at
// most 1,000 characters that no terminal interprets, whoever wrote it.
func New(w io.Writer, level slog.Leveler, vars config.Environ) *slog.Logger {
	return slog.New(cleanHandler{newHandler(w, level, vars)})
}

func newHandler(w io.Writer, level slog.Leveler, vars config.Environ) slog.Handler {
	f, isFile := w.(*os.File)
	switch {
	case isFile && term.IsTerminal(int(f.Fd())):
		return tint.NewTextHandler(w, &tint.Options{Level: level, NoColor: vars.NoColor(), ReplaceAttr: unescaped})
	case isFile && f == os.Stderr && stderrIsJournal():
		return newJournalHandler(level, withFallback(w, journal.Send))
	default:
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: stringDurations})
	}
}

// stringDurations makes JSON say "3ms", as the other formats do, instead of nanoseconds.
func stringDurations(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// stderrIsJournal compares stderr with $JOURNAL_STREAM. journal.Enabled would only say that
// a journal is running.
func stderrIsJournal() bool {
	ok, err := journal.StderrIsJournalStream()
	return ok && err == nil
}

// withFallback writes a line to w if send fails: the journal's socket may be out of reach
// (another root, a sandbox) while the pipe that systemd made of stderr works.
func withFallback(w io.Writer, send sendEntry) sendEntry {
	return func(message string, p journal.Priority, fields map[string]string) error {
		if err := send(message, p, fields); err == nil {
			return nil
		}
		_, err := fmt.Fprintf(w, "<%d>%s\n", p, message) // sd-daemon(3)
		return err
	}
}

// IgnoreSIGPIPE makes a write to a closed standard error return an error instead of killing
// the process. Go does the latter unless the program has asked for SIGPIPE (os/signal), even
// with systemd's IgnoreSIGPIPE=. Ignoring the signal itself would be inherited by the
// command of `run`.
func IgnoreSIGPIPE() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
