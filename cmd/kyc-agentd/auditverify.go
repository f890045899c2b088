package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/service"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

func (o *auditOptions) verify(cmd *cobra.Command, _ []string) error {
	dir, err := o.folder()
	if err != nil {
		return err
	}
	heads, note, err := o.heads(cmd.Context(), dir)
	if err != nil {
		return err
	}
	keys, err := o.keys(cmd.Context())
	if err != nil {
		return err
	}
	report, err := audit.Verify(dir, audit.VerifyOptions{Keys: keys, Heads: heads})
	if err != nil {
		return err
	}
	if note != "" {
		report.Notes = append(report.Notes, note)
	}
	if err := o.writeReport(report); err != nil {
		return err
	}
	if len(report.Problems) > 0 {
		return exitStatus(exitProblems)
	}
	return nil
}

func (o *auditOptions) writeReport(r audit.Report) error {
	if o.json {
		return writeJSON(o.cli.io.shown(), r)
	}
	w := statustext.Wrapped(o.cli.io.out, terminal.Columns(o.cli.io.out))
	for _, p := range r.Problems {
		where := ""
		if p.File != "" {
			where = fmt.Sprintf("%s:%d: ", p.File, p.Line)
		}
		fmt.Fprintf(w, "problem: %s\n", sanitize.OneLine(where+p.What))
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", sanitize.OneLine(note))
	}
	state := "the log is as the agent wrote it, as far as that can be checked"
	if len(r.Problems) > 0 {
		state = "the log is not as the agent wrote it"
	}
	_, err := fmt.Fprintf(w, "%d lines in %d files%s: %d with a right MAC, %d compared with the daemon's log; %s\n",
		r.Lines, r.Files, between(r), r.Keyed, r.Heads, state)
	return err
}

func between(r audit.Report) string {
	if r.First.IsZero() {
		return ""
	}
	return ", " + r.First.Local().Format(time.DateTime) + " to " + r.Last.Local().Format(time.DateTime)
}

// keys returns the first keys: from --key-file, which may have one a line, or from a person.
// Where neither is to be asked, no MAC is checked.
func (o *auditOptions) keys(ctx context.Context) ([]audit.FirstKey, error) {
	var text string
	switch {
	case o.keyFile == "-":
		raw, err := io.ReadAll(io.LimitReader(o.cli.io.in, config.MaxLine))
		if err != nil {
			return nil, usageError("", "cannot read the key from standard input: %s", config.PlainCause(err))
		}
		text = string(raw)
	case o.keyFile != "":
		raw, err := os.ReadFile(o.keyFile)
		if err != nil {
			return nil, usageError("", "cannot read the key: %s", config.PlainCause(err))
		}
		text = string(raw)
	default:
		typed, err := o.askKey(ctx)
		if err != nil {
			return nil, err
		}
		text = typed
	}
	var keys []audit.FirstKey
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := audit.ParseFirstKey(line)
		if err != nil {
			return nil, usageError("it is what kyc-agentd audit init has shown", "%s", err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 && o.keyFile != "" {
		return nil, usageError("it is what kyc-agentd audit init has shown", "there is no key in it")
	}
	return keys, nil
}

// askKey asks for the first key at the terminal. Nobody is asked where there is none.
func (o *auditOptions) askKey(ctx context.Context) (string, error) {
	t, err := o.cli.io.tty()
	if err != nil {
		return "", nil //nolint:nilerr // the report says what was not proved
	}
	defer t.Close()
	return t.Ask(ctx, "What is the first key (nothing: check without)?", true)
}

// heads returns what the daemon has logged of the log: from --log, else from the journal and from
// the log of an agent that `kyc-agentd start` started. If there is nothing, note says why.
func (o *auditOptions) heads(ctx context.Context, dir string) (heads []audit.Head, note string, err error) {
	if o.logFile == "-" {
		heads, err = audit.ReadHeads(o.cli.io.in)
		return heads, "", err
	}
	if o.logFile != "" {
		heads, err = headsOf(o.logFile)
		return heads, "", err
	}
	if o.dir != "" {
		return nil, "", nil // a copy, of another machine perhaps
	}
	if path := service.LogFile(o.cli.vars); path != "" {
		heads, _ = headsOf(path)
	}
	fromJournal, err := o.journal(ctx, dir)
	heads = slices.DeleteFunc(append(heads, fromJournal...), func(h audit.Head) bool { return h.File != audit.Path(dir) })
	switch {
	case len(heads) > 0:
	case err != nil:
		note = fmt.Sprintf("the journal cannot be read: %s; an administrator can read it: journalctl -t kyc-agentd _UID=%d -o json >FILE; then: kyc-agentd audit verify --log FILE", err, os.Getuid())
	default:
		note = "the journal has no head of this log: journald has removed them or keeps no journal, or the agent logs elsewhere (see --log) or nothing below warn"
	}
	return heads, note, nil
}

func headsOf(path string) ([]audit.Head, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usageError("", "cannot read the daemon's log: %s", config.PlainCause(err))
	}
	defer f.Close()
	heads, err := audit.ReadHeads(f)
	if err == nil && len(heads) == 0 {
		err = usageError("want the daemon's log in JSON, or: journalctl -t kyc-agentd -o json", "there is no head of an audit log in %s", path)
	}
	return heads, err
}

// journal returns the heads in the journal.
func (o *auditOptions) journal(ctx context.Context, dir string) ([]audit.Head, error) {
	program, err := exec.LookPath("journalctl")
	if err != nil {
		return nil, errors.New("there is no journalctl on this machine")
	}
	cmd := exec.CommandContext(ctx, program, "--user", "-t", "kyc-agentd", "-q", "-o", "json", "--output-fields=KYC_CHAIN,KYC_N,KYC_HASH,KYC_FILE", "KYC_FILE="+audit.Path(dir))
	cmd.Env = append(slices.Clone(o.cli.vars), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		return nil, journalError(err)
	}
	return audit.ReadHeads(bytes.NewReader(out))
}

// journalError returns what journalctl says of its failure.
func journalError(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		return errors.New(strings.TrimSuffix(sanitize.OneLine(strings.TrimSpace(string(exit.Stderr))), "."))
	}
	return errors.New(config.PlainCause(err))
}
