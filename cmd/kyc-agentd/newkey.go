package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/store/file"
)

// offerKey asks whether to make a key for the file store, if the agent keeps sign-ins in memory
// for want of one, and has the agent move them into files. It returns the agent's status after
// that. What goes wrong is said and is no error: the person is signed in.
func (in *interaction) offerKey(ctx context.Context, st agent.Status) (agent.Status, error) {
	if in.terminal == nil || in.quiet || st.Store.NewKey == "" || st.Store.Lasting {
		return st, nil
	}
	in.terminal.Printf("There is no keyring here, so the sign-in would end when the agent stops.")
	yes, err := in.askDefaultYes(ctx, "Keep it in encrypted files, with a new key that only you can read?")
	if err != nil || !yes {
		return st, err
	}
	io := in.cli.io
	switch _, err := file.Keygen(st.Store.NewKey); {
	case err == nil:
		io.say("made the key %s", st.Store.NewKey)
	case !errors.Is(err, fs.ErrExist): // somebody was faster, which is as good
		io.say("warning: %v", err)
		return st, nil
	}
	failed := in.reload(ctx)
	after, err := in.service.Status(ctx)
	if err != nil {
		return st, err
	}
	if failed != nil {
		io.say("warning: %v", failed)
	}
	return after, nil
}

// askDefaultYes asks until the answer is yes or no. An empty answer is yes.
func (in *interaction) askDefaultYes(ctx context.Context, question string) (bool, error) {
	for {
		typed, err := in.terminal.Ask(ctx, question+" [Y/n]", false)
		if err != nil {
			return false, err
		}
		switch strings.ToLower(strings.TrimSpace(typed)) {
		case "", "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
	}
}

// howToKeep says how to keep what is in memory, or is "" if the store does not lose it.
func howToKeep(st agent.Status) string {
	if st.Store.Lasting || st.Store.NewKey == "" {
		return ""
	}
	if _, err := os.Lstat(st.Store.NewKey); err == nil {
		return "to keep it, run: kyc-agentd reload"
	}
	return "to keep it, run: kyc-agentd keygen && kyc-agentd reload"
}
