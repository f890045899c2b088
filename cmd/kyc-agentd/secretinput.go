package main

import (
	"bufio"
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
)

// addSecretFlags adds flags that exist only to be refused, by rejectSecretFlags.
func addSecretFlags(cmd *cobra.Command) {
	cmd.Flags().StringP("password", "p", "", "")
	cmd.Flags().String("api-key", "", "")
	_ = cmd.Flags().MarkHidden("password")
	_ = cmd.Flags().MarkHidden("api-key")
}

// rejectSecretFlags refuses a secret on the command line and says what to use instead;
// orElse names the alternatives for a password.
func rejectSecretFlags(cmd *cobra.Command, orElse string) error {
	switch {
	case cmd.Flags().Changed("password"):
		return usageError("use --password-stdin"+orElse, "there is no --password: every process can read a command line")
	case cmd.Flags().Changed("api-key"):
		return usageError("use --api-key-stdin", "there is no --api-key: every process can read a command line")
	}
	return nil
}

// readAPIKey reads a key from standard input. hint is for a person who would type it.
func (s stdio) readAPIKey(ctx context.Context, hint string) (agent.Secret, error) {
	key, err := s.readSecret(ctx, "API key", hint)
	if err == nil && !strings.HasPrefix(key.Reveal(), "sk_") {
		return agent.Secret{}, usageError("", "standard input has no API key: they begin with sk_")
	}
	return key, err
}

// readSecret reads one line of standard input, without its end. It refuses a terminal,
// which would show what is typed; hint says what to do then.
func (s stdio) readSecret(ctx context.Context, what, hint string) (agent.Secret, error) {
	if isTerminal(s.in) {
		return agent.Secret{}, usageError(hint, "standard input is a terminal and would show the %s", what)
	}
	data, err := firstLine(ctx, io.LimitReader(s.in, config.MaxLine+3))
	if err == terminal.ErrCancelled {
		return agent.Secret{}, err
	}
	if err != nil {
		return agent.Secret{}, usageError("", "cannot read the %s from standard input: %s", what, config.PlainCause(err))
	}
	if what, filter := config.WrongEncoding(data); what != "" {
		return agent.Secret{}, usageError("pass it through: "+filter, "standard input %s", what)
	}
	line, err := terminal.CheckLine(strings.TrimRight(data, "\r\n"))
	if err != nil {
		return agent.Secret{}, usageError("", "standard input: %s", err)
	}
	if line == "" {
		return agent.Secret{}, usageError("", "the %s on standard input is empty", what)
	}
	return agent.NewSecret(line), nil
}

// firstLine reads to the end of a line or of r, but no further: the writer may keep the
// pipe open. When ctx ends first, the goroutine with the read is left behind.
func firstLine(ctx context.Context, r io.Reader) (string, error) {
	type result struct {
		line string
		err  error
	}
	read := make(chan result, 1)
	go func() {
		line, err := bufio.NewReader(r).ReadString('\n')
		if err == io.EOF {
			err = nil
		}
		read <- result{line, err}
	}()
	select {
	case <-ctx.Done():
		return "", terminal.ErrCancelled
	case got := <-read:
		return got.line, got.err
	}
}
