package main

import (
	"os/exec"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A script on a file system that is mounted noexec, in a mount namespace.
func TestExecNoexec(t *testing.T) {
	unshare := testpeer.Program(t, "unshare", "util-linux")
	agent := agentAnswering(t, ok(someVariables))
	kycToken := program(t, "exec", "-socket", agent.path, "--", "./script")
	const inside = `mount -t tmpfs -o noexec none "$1" && cd "$1" && printf '#!/bin/sh\n' >script && chmod +x script && shift && exec "$@"`
	cmd := exec.Command(unshare, append([]string{"-rm", "sh", "-euc", inside, "sh", t.TempDir()}, kycToken.Args...)...)
	cmd.Env = kycToken.Env
	finish(t, cmd).wantFailure(t, exitNotExecutable, "",
		"./script: permission denied: its file system is mounted noexec; name its interpreter, such as: -- sh ./script\n")
}
