package main

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/doctor"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/support"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
	"github.com/legaltalent/kyc-agent/store/keyring"
)

// supportOptions are the options of `support`.
type supportOptions struct {
	configFile string
	offline    bool
	lines      uint16
}

func (c *cli) supportCommand() *cobra.Command {
	var o supportOptions
	cmd := &cobra.Command{
		Use: "support", Short: "write a file for a report of a problem", Long: usageSupport, Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "kyc-agentd-support-" + time.Now().UTC().Format("20060102-150405") + ".txt"
			if len(args) > 0 {
				path = args[0]
			}
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // before the work
			if err != nil {
				return supportError(err, path)
			}
			text := support.Text(cmd.Context(), support.Options{
				Doctor: doctor.Options{
					ConfigFile: o.configFile, Offline: o.offline,
					Vars: c.vars, Socket: c.socketPath(), Version: programVersion(),
					KeyringCommand: keyring.SelfCommand(keyringVerb), NoAgent: noAgent,
				},
				Status: c.client().Status, Lines: int(o.lines),
			})
			_, err = io.WriteString(f, text)
			if err = cmp.Or(err, cmd.Context().Err(), f.Close()); err != nil {
				_ = os.Remove(path)
				return supportError(err, path)
			}
			c.io.say("wrote %s, which only you can read: %s", path, support.Contents)
			c.io.say("no secret is in it, and names of users are replaced; look through it before you send it: less %s", shellquote.Quote(path))
			return nil
		},
	}
	cmd.Flags().StringVar(&o.configFile, "config", "", "")
	cmd.Flags().BoolVar(&o.offline, "offline", false, "")
	cmd.Flags().Uint16VarP(&o.lines, "lines", "n", 200, "")
	return cmd
}

// supportError says why there is no file.
func supportError(err error, path string) error {
	e := &agent.Error{Code: agent.CodeInternal, Op: "support", Err: err,
		Message: "cannot write " + path + ": " + config.PlainCause(err), Hint: "name a file in a folder that you own: kyc-agentd support FILE"}
	switch {
	case errors.Is(err, fs.ErrExist):
		e.Code, e.Message, e.Hint = agent.CodeUsage, path+" already exists", "name another file in "+filepath.Dir(path)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
		e.Code = agent.CodeUsage
	}
	return e
}
