package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// checkCredentials looks at the files that LoadCredential= of the service names. systemd starts
// no service of which one cannot be read, and its own error does not say which.
func checkCredentials(_ context.Context, p *probe) []Finding {
	u, err := p.units()
	if err != nil {
		return nil
	}
	return u.credentialFaults(p.opts.Vars)
}

func (u units) credentialFaults(vars config.Environ) (found []Finding) {
	for _, c := range u.service.credentials(vars.Get("HOME")) {
		if f, ok := c.finding(); ok {
			found = append(found, f)
		}
	}
	return found
}

// A loadedCredential is one LoadCredential= line.
type loadedCredential struct{ id, path, unitFile string }

// credentials reads the unit's files, because systemctl before version 254 does not show the
// property. home is for the specifier %h.
func (u unit) credentials(home string) (all []loadedCredential) {
	for _, file := range append([]string{u["FragmentPath"]}, strings.Fields(u["DropInPaths"])...) {
		text, _ := os.ReadFile(file)
		for line := range strings.Lines(string(text)) {
			value, ok := strings.CutPrefix(strings.TrimSpace(line), "LoadCredential=")
			id, path, _ := strings.Cut(value, ":")
			switch path = strings.ReplaceAll(path, "%h", home); {
			case ok && value == "":
				all = nil // which resets the list
			case ok && filepath.IsAbs(path) && !strings.Contains(path, "%"):
				all = append(all, loadedCredential{id, path, file})
			}
		}
	}
	return all
}

// finding says what is wrong with the file of c. It opens none that may be a socket or a pipe.
func (c loadedCredential) finding() (Finding, bool) {
	info, err := os.Stat(c.path)
	if err == nil && info.Mode().IsRegular() {
		var f *os.File
		if f, err = os.Open(c.path); err == nil {
			f.Close()
		}
	}
	what := serviceUnit + " loads the credential " + c.id + " from " + c.path
	again := "or take the line out of " + c.unitFile + ", then run: " + startAgain
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem("credentials.missing", "make that file, "+again, "%s, which does not exist: systemd does not start the agent", what), true
	case err != nil:
		return problem("credentials.unreadable", "run: ls -l "+shellquote.Quote(c.path)+"; correct that, "+again,
			"%s, which cannot be read (%s): systemd does not start the agent", what, config.PlainCause(err)), true
	case info.Mode().IsRegular() && info.Size() == 0:
		return problem("credentials.empty", "write that file, "+again, "%s, which is empty", what), true
	}
	return Finding{}, false
}
