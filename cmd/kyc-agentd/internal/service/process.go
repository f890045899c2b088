package service

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// A process is an agent that no service manager started, as far as can be told.
type process struct {
	opts Options
	pid  int // 0 if none answers
}

func (p *process) Name() string {
	return "a process of its own, without a service manager"
}

func (p *process) PID() int { return p.pid }

func (p *process) Runs() bool { return p.pid != 0 }

// Start starts `kyc-agentd serve` in the background.
func (p *process) Start(ctx context.Context) error {
	if p.pid != 0 {
		return nil
	}
	var args []string
	if p.opts.Explicit {
		socket, err := filepath.Abs(p.opts.Socket)
		if err != nil {
			return err
		}
		args = []string{"--socket", socket}
	}
	return p.start(ctx, append([]string{"serve"}, args...))
}

// start starts an agent in a session of its own, so that it outlives the terminal. Its log
// goes to a file beside the sign-ins.
func (p *process) start(ctx context.Context, args []string) error {
	log, err := p.openLog()
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.opts.Program, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = "/", p.opts.Vars, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return failed("cannot run %s: %s", p.opts.Program, config.PlainCause(err))
	}
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_ = cmd.Wait()
		close(ended)
		cancel()
	}()
	_, err = p.opts.answers(ctx, 0)
	select {
	case <-ended:
		return endedAtOnce(cmd.ProcessState.ExitCode(), lastLine(log.Name()))
	default:
	}
	if err == nil && log.Name() != os.DevNull {
		p.opts.Say("its log goes to %s", log.Name())
	}
	return err
}

// openLog opens the log, which begins anew at each start, or /dev/null if there is no folder
// for it.
func (p *process) openLog() (*os.File, error) {
	dir := config.StateDir(p.opts.Vars)
	if dir == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	err := os.MkdirAll(dir, 0o700)
	path := filepath.Join(dir, logName)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND|syscall.O_NOFOLLOW, 0o600); err == nil {
			return f, nil
		}
	}
	return nil, failed("cannot write the log %s: %s", path, config.PlainCause(err))
}

// endedAtOnce is the error of an agent that did not start, with the meaning of its exit code.
func endedAtOnce(exit int, why string) error {
	const exitUsage, exitConfiguration = 64, 78
	code := agent.CodeUnavailable
	if exit == exitUsage || exit == exitConfiguration {
		code = agent.CodeConfiguration
	}
	return &agent.Error{Code: code, Op: Op, Message: "the agent ended at once: " + why}
}

const logName = "kyc-agentd.log"

// LogFile returns the log of an agent that was started as a plain process, or "".
func LogFile(vars config.Environ) string {
	path := filepath.Join(config.StateDir(vars), logName)
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return path
}

func lastLine(path string) string {
	data, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return sanitize.OneLine(strings.TrimPrefix(lines[len(lines)-1], "kyc-agentd: "))
}

// Stop sends SIGTERM and waits.
func (p *process) Stop(ctx context.Context) error {
	defer p.opts.sayIfSlow()()
	return terminate(ctx, p.pid, func() error {
		_, err := p.args()
		return err
	})
}

// Restart starts it again with the flags that it had, and with the variables of this shell:
// nobody can read its own.
func (p *process) Restart(ctx context.Context) error {
	if p.pid == 0 {
		return p.Start(ctx)
	}
	args, err := p.args()
	if err != nil {
		return err
	}
	if path := relativePath(args); path != "" {
		return failed("process %d was started with the relative path %s; run: kyc-agentd stop, and start it again as you did",
			p.pid, sanitize.OneLine(path))
	}
	if err := p.Stop(ctx); err != nil {
		return err
	}
	if st, err := p.opts.Status(ctx); err == nil && st.PID != p.pid {
		return nil // what supervises it was faster
	}
	return p.start(ctx, args)
}

// relativePath returns a path in a command line that means another file in another folder.
func relativePath(args []string) string {
	for i, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if name != "--config" && name != "--socket" {
			continue
		}
		if !ok && i+1 < len(args) {
			value = args[i+1]
		}
		if !filepath.IsAbs(value) {
			return value
		}
	}
	return ""
}

// args returns the words after "kyc-agentd". It is an error if the process is something else:
// one of a container, whose number means another process here, or one that ends by itself.
func (p *process) args() ([]string, error) {
	words := commandLine(p.pid)
	switch {
	case len(words) == 0 || filepath.Base(words[0]) != "kyc-agentd":
		return nil, failed("process %d, as the agent calls itself, is not kyc-agentd here: it may run in a container; stop it there", p.pid)
	case len(words) > 1 && words[1] == "run":
		return nil, failed("process %d is `kyc-agentd run`, which ends with its command", p.pid)
	}
	return words[1:], nil
}
