//go:build !linux

package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
)

func (o *runOptions) runSandboxed(context.Context, *lentAPI, agent.Status, <-chan os.Signal) error {
	return usageError("leave it out; docs/security.md says what --api-only is worth then", "--sandbox needs Linux and bubblewrap")
}

func (c *cli) sandboxChildCommand() *cobra.Command {
	return &cobra.Command{Use: "sandbox-child", Hidden: true}
}
