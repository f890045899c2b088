package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// build builds the binaries as they are shipped, into a new folder.
func build(ctx context.Context, o *options) (err error) {
	if o.bin, err = os.MkdirTemp("", "kyc-soak-bin-"); err != nil {
		return err
	}
	for _, name := range []string{"kyc-agentd", "kyc-token"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildmode=exe", "-ldflags=-s -w",
			"-o", filepath.Join(o.bin, name), "github.com/legaltalent/kyc-agent/cmd/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	return nil
}
