// Package support writes the text that a person attaches to a report of a problem.
//
// Call [Text]. It needs neither an agent nor systemd: what cannot be had is an error in its
// section. There is no secret in it, and mask.go removes what looks like one all the same;
// names of users are replaced by "user-1" and so on.
package support

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/doctor"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/version"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// Options say what to ask, and for whom.
type Options struct {
	Doctor doctor.Options // of which most is for the other sections, too
	Status func(context.Context) (agent.Status, error)
	Lines  int // of the log
}

// programTimeout is for each program of the system that is asked.
const programTimeout = 5 * time.Second

// maxOutput is for each of them, in bytes. A log line can be long.
const maxOutput = 1 << 20

// Contents are the sections, for the line that says what is in the file.
const Contents = "versions, status, doctor, units, log and configuration"

const head = `kyc-agentd support, made %s

This is for a report of a problem: ` + Contents + `.
No secret is in it. Names of users are replaced (user-1, user-2, ...), and your
home folder by ~. Look through it before you send it: names of environments,
hosts, pools, programs and folders are as they are.
`

// Text returns the whole text.
func Text(ctx context.Context, o Options) string {
	m := &masker{home: o.Doctor.Vars.Get("HOME")}
	st, failed := o.Status(ctx)
	for _, e := range st.Environments {
		m.add(e.User, e.Subject)
	}
	if user := o.Doctor.Vars.Get("USER"); user != "root" {
		m.add(user)
	}
	c, _, _ := config.Load(o.Doctor.ConfigFile, o.Doctor.Vars)
	for _, e := range c.Environments {
		m.add(e.Username.String())
	}
	var b strings.Builder
	fmt.Fprintf(&b, head, time.Now().UTC().Format(time.RFC3339))
	for _, s := range []struct{ name, text string }{
		{"versions", o.versions(ctx)},
		{"status", statusText(st, failed)},
		{"doctor", o.doctorText(ctx)},
		{"units", o.program(ctx, "systemctl", "--user", "show", "-p", unitProperties, "kyc-agentd.socket", "kyc-agentd.service", "kyc-agentd-extra.socket")},
		{"log", o.logText(ctx)},
		{"configuration", o.configText()},
	} {
		fmt.Fprintf(&b, "\n== %s ==\n%s\n", s.name, strings.TrimSpace(s.text))
	}
	return printable(m.mask(b.String()))
}

// printable returns text that does nothing to a terminal that shows it.
func printable(text string) string {
	var b strings.Builder
	w := &sanitize.Writer{To: &b}
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func (o Options) versions(ctx context.Context) string {
	lines := []string{"kyc-agentd " + o.Doctor.Version + ", " + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH}
	if version.BinaryReplaced() {
		lines = append(lines, "the program was replaced on the disk meanwhile")
	}
	lines = append(lines, firstLine(o.program(ctx, "kyc-token", "-version")))
	var kernel unix.Utsname
	if err := unix.Uname(&kernel); err == nil {
		lines = append(lines, unix.ByteSliceToString(kernel.Sysname[:])+" "+unix.ByteSliceToString(kernel.Release[:]))
	}
	lines = append(lines, distribution())
	if runtime.GOOS == "linux" {
		lines = append(lines, firstLine(o.program(ctx, "systemctl", "--version")))
	}
	lines = append(lines, "variables: "+cmp.Or(strings.Join(config.Variables(o.Doctor.Vars), " "), "none"))
	return strings.Join(lines, "\n")
}

// distribution returns the name in os-release(5).
func distribution() string {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		data, _ := os.ReadFile(path)
		for line := range strings.Lines(string(data)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				return strings.Trim(name, `"'`)
			}
		}
	}
	return "no os-release"
}

func statusText(st agent.Status, err error) string {
	if err != nil {
		return err.Error()
	}
	text, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (o Options) doctorText(ctx context.Context) string {
	var b strings.Builder
	_ = doctor.Run(ctx, o.Doctor).WriteText(&b, false, 0)
	return b.String()
}

const unitProperties = "Id,LoadState,ActiveState,SubState,Result,UnitFileState,FragmentPath,DropInPaths,NeedDaemonReload," +
	"ExecMainStatus,NRestarts,StatusText,LoadCredential"

// logText returns the agent's lines and those that systemd wrote about it.
func (o Options) logText(ctx context.Context) string {
	return o.program(ctx, "journalctl", "--user", "--no-pager", "--no-hostname", "-o", "short-iso", "-n", fmt.Sprint(o.Lines),
		"SYSLOG_IDENTIFIER=kyc-agentd", "+", "_SYSTEMD_USER_UNIT=kyc-agentd.service", "+", "USER_UNIT=kyc-agentd.service", "+", "USER_UNIT=kyc-agentd.socket")
}

func (o Options) configText() string {
	text, err := config.Plain(o.Doctor.ConfigFile, o.Doctor.Vars)
	switch {
	case err != nil:
		return err.Error()
	case text == "":
		return "there is no config.toml"
	}
	return text
}

// program runs a program of the system and returns its output, or why there is none.
func (o Options) program(ctx context.Context, name string, args ...string) string {
	path := o.lookPath(name)
	if path == "" {
		return "there is no " + name
	}
	ctx, cancel := context.WithTimeout(ctx, programTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.WaitDelay = append(slices.Clone(o.Doctor.Vars), "LC_ALL=C"), time.Second
	out, err := cmd.Output()
	text := strings.TrimSpace(string(out[:min(len(out), maxOutput)]))
	switch exit, ok := errors.AsType[*exec.ExitError](err); {
	case ctx.Err() != nil:
		return name + " does not answer within " + programTimeout.String()
	case ok:
		return strings.TrimSpace(text + "\n" + name + " failed: " + sanitize.OneLine(cmp.Or(string(exit.Stderr), err.Error())))
	case err != nil:
		return "cannot run " + name + ": " + config.PlainCause(err)
	}
	return cmp.Or(text, name+" shows nothing")
}

// lookPath finds a program as the shell does, or returns "".
func (o Options) lookPath(name string) string {
	for _, dir := range filepath.SplitList(o.Doctor.Vars.Get("PATH")) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
