package main

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/store/file"
)

func (c *cli) keygenCommand() *cobra.Command {
	return &cobra.Command{
		Use: "keygen", Short: "make a key for the file store", Long: usageKeygen, Args: atMostOneArg,
		RunE: func(_ *cobra.Command, args []string) error {
			standard := file.DefaultKeyFile(c.vars.Get)
			path := standard
			if len(args) > 0 {
				path = args[0]
			}
			if path == "" {
				return usageError("set XDG_CONFIG_HOME or HOME to an absolute path, or run: kyc-agentd keygen PATH", "no folder for the key: %s", noHome(c.vars.Get))
			}
			// The public key is in the file too; its 2 kB are too long for a terminal.
			if _, err := file.Keygen(path); err != nil {
				return keygenError(err, path == standard)
			}
			c.io.say("made %s, which only you can read; without it the sign-ins in the file store are lost", path)
			if path != standard {
				abs, err := filepath.Abs(path)
				c.io.say("next, in config.toml: store_key_file = %s", strconv.Quote(cmp.Or(abs, path)))
				if err != nil {
					return err
				}
			}
			c.io.say("then: kyc-agentd reload, which moves sign-ins that are only in memory into files")
			return nil
		},
	}
}

// noHome says why there is no standard folder: a relative path is ignored, as the XDG base
// directory specification requires.
func noHome(getenv func(string) string) string {
	for _, name := range []string{"XDG_CONFIG_HOME", "HOME"} {
		if set := getenv(name); set != "" {
			return name + " is " + strconv.Quote(set) + ", which is not an absolute path"
		}
	}
	return "HOME is not set"
}

// keygenError is a usage error if the file exists already or the folder cannot be written:
// the person can change that.
func keygenError(err error, standard bool) error {
	e := &agent.Error{Code: agent.CodeInternal, Op: "keygen", Message: err.Error(), Err: err}
	for _, cause := range []error{fs.ErrExist, fs.ErrPermission, fs.ErrNotExist, syscall.ENOTDIR, syscall.EROFS} {
		if errors.Is(err, cause) {
			e.Code, e.Hint = agent.CodeUsage, "name a file in a folder that you own: kyc-agentd keygen PATH"
		}
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		e.Hint = "" // the message has it
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Code = agent.CodeUnavailable // the message has the next step
	case standard && e.Hint != "":
		e.Hint = "set XDG_CONFIG_HOME to a folder that you own, for the daemon, too"
	}
	return e
}
