package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/lmittmann/tint"
	"golang.org/x/term"
)

// newLogger returns the daemon's log, written to w: coloured lines where w is a
// terminal, records with fields where it is the journal, JSON otherwise. Raising or
// lowering level later changes what is logged from then on.
//
// Secrets redact themselves (agent.Secret), so a level is never a question of secrecy.
func newLogger(w io.Writer, level slog.Leveler, vars environ) *slog.Logger {
	return slog.New(newHandler(w, level, vars))
}

func newHandler(w io.Writer, level slog.Leveler, vars environ) slog.Handler {
	f, isFile := w.(*os.File)
	switch {
	case isFile && term.IsTerminal(int(f.Fd())):
		return tint.NewTextHandler(w, &tint.Options{Level: level, NoColor: noColor(vars)})
	case isFile && f == os.Stderr && stderrIsJournal():
		return newJournalHandler(level, journal.Send)
	default:
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
	}
}

// noColor follows no-color.org (set and not empty) and terminals that have none.
func noColor(vars environ) bool {
	return vars.get("NO_COLOR") != "" || vars.get("TERM") == "dumb"
}

// stderrIsJournal compares stderr with $JOURNAL_STREAM. That a journal is running
// (journal.Enabled) says nothing of where stderr goes.
func stderrIsJournal() bool {
	ok, err := journal.StderrIsJournalStream()
	return ok && err == nil
}
