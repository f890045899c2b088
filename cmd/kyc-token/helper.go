package main

// Which tool's credential helper kyc-token acts as, and what its command line means then.

import (
	"strings"
	"time"
)

// A mode is what kyc-token acts as. Except for modeToken it is also the name of the
// protocol in the agent's API (POST /v1/helper/NAME).
type mode string

const (
	modeToken     mode = ""          // prints a token
	modeGet       mode = "bazel"     // a credential helper of Bazel and others
	modeExec      mode = "exec"      // runs another program
	modeGit       mode = "git"       // a credential helper of git
	modeTerraform mode = "terraform" // a credentials helper of Terraform
	modeGoauth    mode = "goauth"    // a GOAUTH command
)

// The verbs that choose a mode. An environment with such a name is written `-- get`.
const (
	verbGet  = "get"
	verbExec = "exec"
)

func modeOfVerb(verb string) mode {
	if verb == verbExec {
		return modeExec
	}
	return modeGet
}

// modeOfProgram returns the mode for the name by which kyc-token is called, because the
// tools find their helpers by name.
func modeOfProgram(path string) mode {
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "git-credential-kyc":
		return modeGit
	case "terraform-credentials-kyc":
		return modeTerraform
	case "goauth-kyc":
		return modeGoauth
	}
	return modeToken
}

// helperLimit is how long the whole exchange may take while a tool waits for it: the
// shortest time that any known tool allows.
const helperLimit = 5 * time.Second

// timeout returns how long the exchange may take, at most limit.
func (o options) timeout(limit time.Duration) time.Duration {
	if o.mode != modeToken || o.format == formatK8s || o.format == "google" {
		return min(limit, helperLimit)
	}
	return limit
}

// assignWords sets the fields that the command line's words stand for.
func (o *options) assignWords() error {
	if o.format != "" && o.mode != modeToken {
		return usageError("the flag -f is only for printing a token; the tool expects its own format")
	}
	if o.tokenType != "" && o.mode != modeToken {
		return usageError("the flag -t is only for printing a token; no tool gets an access token")
	}
	if o.mode == modeExec && len(o.command) == 0 {
		return usageError("exec needs a command: kyc-token exec [ENVIRONMENT] -- COMMAND")
	}
	words, err := o.assignOperation(o.words)
	switch {
	case err != nil:
		return err
	case len(words) > 1:
		return usageError("one environment at a time, not both " + words[0] + " and " + words[1])
	case len(words) == 1 && o.environment != "":
		return usageError("one environment at a time")
	case len(words) == 1:
		o.environment = words[0]
	}
	return nil
}

// assignOperation takes the words that a tool adds at the end, and returns the others.
func (o *options) assignOperation(words []string) (rest []string, err error) {
	n := len(words)
	switch o.mode {
	case modeGit:
		if n < 1 {
			return nil, usageError("git-credential-kyc is run by git, with an operation: get; for a token: kyc-token")
		}
		o.operation = words[n-1]
		return words[:n-1], nil
	case modeTerraform:
		if n < 2 {
			return nil, usageError("terraform-credentials-kyc is run by Terraform, with an operation and a host: get HOST; for a token: kyc-token")
		}
		o.operation, o.subject = words[n-2], words[n-1]
		return words[:n-2], nil
	case modeGoauth:
		if n > 0 && strings.Contains(words[n-1], "://") {
			o.subject = words[n-1]
			return words[:n-1], nil
		}
	}
	return words, nil
}

// mayAsk reports whether text may be a question in m's protocol; the agent looks closer.
func (m mode) mayAsk(text string) bool {
	switch m {
	case modeGet:
		return strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{")
	case modeGit:
		return strings.Contains(text, "=")
	}
	return true
}

// byHand is the failure of a helper that a person runs instead of a tool. The line says how
// to get what most likely was meant, a token.
func (o options) byHand() failure {
	text := "get is a credential helper and reads {\"uri\": \"https://...\"} from stdin"
	if o.mode == modeGit {
		text = "git-credential-kyc is a credential helper and reads git's question from stdin"
	}
	token := "kyc-token"
	if o.environment != "" {
		token += " " + o.environment
	}
	return failure{exitUsage, text + "; for a token: " + token}
}

// asksByHost reports whether the tool asks for a host. Then the host selects the
// environment, and $KYC_ENV must not.
func (o options) asksByHost() bool {
	switch o.mode {
	case modeGet, modeGit, modeTerraform:
		return true
	case modeGoauth:
		return o.subject != ""
	}
	return false
}

// mayBeEmpty reports whether an empty output tells the tool that there is no token.
func (o options) mayBeEmpty() bool { return o.mode == modeGit || o.mode == modeGoauth }
