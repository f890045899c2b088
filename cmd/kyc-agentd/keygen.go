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
		Use: "keygen", Long: usageKeygen, Args: atMostOneArg,
		RunE: func(_ *cobra.Command, args []string) error {
			standard := file.DefaultKeyFile(c.vars.Get)
			path := standard
			if len(args) > 0 {
				path = args[0]
			}
			// The public key is in the file too; its 2 kB are too long for a terminal.
			if _, err := file.Keygen(path); err != nil {
				return keygenError(err)
			}
			c.io.say("made %s, which only you can read; without it the sign-ins in the file store are lost", path)
			if path != standard {
				abs, err := filepath.Abs(path)
				c.io.say("next, in config.toml: store_key_file = %s", strconv.Quote(cmp.Or(abs, path)))
				return err
			}
			c.io.say("next: restart the daemon with store = \"file\", or \"auto\" if there is no keyring")
			return nil
		},
	}
}

// keygenError is a usage error if the file exists already or the folder cannot be written:
// the person can change that.
func keygenError(err error) error {
	code := agent.CodeInternal
	for _, cause := range []error{fs.ErrExist, fs.ErrPermission, fs.ErrNotExist, syscall.ENOTDIR} {
		if errors.Is(err, cause) {
			code = agent.CodeUsage
		}
	}
	return &agent.Error{Code: code, Op: "keygen", Message: err.Error(), Err: err}
}
