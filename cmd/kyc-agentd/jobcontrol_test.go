package main

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
)

// jobShells have a job control each, as a person's interactive shell. sh (dash) does not touch
// the terminal's modes, so it shows what kyc-agentd left.
var jobShells = map[string]struct {
	pkg     string
	args    []string
	stopped string
}{
	"bash": {"bash", []string{"--norc", "--noprofile", "-i"}, "Stopped"},
	"zsh":  {"zsh", []string{"-f", "-i", "+Z"}, "suspended"},
	"dash": {"dash", []string{"-i"}, "Stopped"},
}

// startShell starts an interactive shell on p's terminal, for an agent.
func startShell(t *testing.T, p *terminaltest.Person, name string, d *scriptedAgent) *running {
	t.Helper()
	shell := jobShells[name]
	cmd := exec.Command(testpeer.Program(t, name, shell.pkg), shell.args...)
	dir := testsocket.ShortDir(t)
	cmd.Env = append(at(t, d), "PATH="+linkAsKycAgentd(t)+":/usr/bin:/bin", "HOME="+dir, "GOCOVERDIR="+dir, testpeer.NoRaceSleep, "PS1=$ ", "TERM=dumb")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.TTY, p.TTY, p.TTY
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	r, err := start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.HangUp()
		_ = r.Process.Kill()
		<-r.exited
	})
	p.Types("echo re''ady\n")
	p.Sees("ready\r\n")
	return r
}

// secretPrompts are the verbs that ask for a secret, with what is asked before.
var secretPrompts = []struct {
	args   string
	before []terminaltest.Answer
	prompt string
	after  []terminaltest.Answer
}{
	{"login -u ana", nil, "Password for ana at prod? ", []terminaltest.Answer{{"What is the code? ", "1"}, {"New password? ", "Brand-new-8"}, {"New password, again? ", "Brand-new-8"}}},
	{"login -u ana", []terminaltest.Answer{{"at prod? ", "Brand-new-8"}, {"What is the code? ", "1"}}, "New password? ", []terminaltest.Answer{{"New password, again? ", "Brand-new-8"}}},
	{"login -u ana", []terminaltest.Answer{{"at prod? ", "Brand-new-8"}, {"What is the code? ", "1"}, {"New password? ", "Brand-new-8"}}, "New password, again? ", nil},
	{"password change -u ana", nil, "Current password for ana at prod? ", []terminaltest.Answer{{"What is the code? ", "1"}, {"New password? ", "Brand-new-8"}, {"New password, again? ", "Brand-new-8"}}},
	{"password reset -u ana", []terminaltest.Answer{{"What is the code? ", "1"}}, "New password? ", []terminaltest.Answer{{"New password, again? ", "Brand-new-8"}}},
	{"login --api-key-stdin", nil, "API key for prod? ", nil},
}

// Ctrl-Z at any secret prompt of any verb, and fg: the shell's terminal is as it was, and
// the prompt comes again, once, and without echo.
func TestCtrlZAtASecretPrompt(t *testing.T) {
	testpeer.Slow(t)
	for shell := range jobShells {
		for _, tt := range secretPrompts {
			t.Run(shell+" "+tt.args+" at "+tt.prompt, func(t *testing.T) {
				p := terminaltest.New(t)
				startShell(t, p, shell, &scriptedAgent{
					login: func(ctx context.Context, r agent.LoginRequest, ask agent.Prompter) error {
						if !r.APIKey.IsZero() {
							return nil
						}
						return asking(resetChallenge, new(agent.Answers))(ctx, ask)
					},
					recover: func(ctx context.Context, _ agent.RecoverRequest, ask agent.Prompter) error {
						return asking(resetChallenge, new(agent.Answers))(ctx, ask)
					},
				})
				p.Types("kyc-agentd " + tt.args + "; echo the en''d\n")
				p.Answers(tt.before...)
				p.Sees(tt.prompt)
				for range 2 {
					p.Types("half-a-secret\x1a")
					p.Sees(jobShells[shell].stopped)
					p.Types("echo at the she''ll\n")
					p.Sees("at the shell\r\n")
					if shell == "dash" && !p.Echoes() {
						t.Error("the shell's terminal does not echo")
					}
					p.Types("fg\n")
					p.Sees(tt.prompt)
					if p.Echoes() {
						t.Fatal("the prompt echoes after fg")
					}
				}
				seen := len(p.Seen())
				secret := "sk_Brand-new-8"
				if !strings.HasPrefix(tt.prompt, "API") {
					secret = "Brand-new-8"
				}
				p.Types(secret + "\n")
				p.Answers(tt.after...)
				p.Sees("kyc-agentd: prod: ")
				if strings.Contains(p.Seen()[seen:], tt.prompt) {
					t.Errorf("the prompt came twice: %q", p.Seen())
				}
				if shown := p.Seen(); strings.Contains(shown, "Brand-new-8") || strings.Contains(shown, "half-a") {
					t.Errorf("the screen shows a secret: %q", shown)
				}
			})
		}
	}
}

// Signals of job control that come from elsewhere leave the shell's terminal as it was, too.
func TestStopSignalsAtASecretPrompt(t *testing.T) {
	testpeer.Slow(t)
	testpeer.Program(t, "ps", "procps")
	for _, signal := range []string{"TSTP", "TTIN", "TTOU"} {
		t.Run(signal, func(t *testing.T) {
			p := terminaltest.New(t)
			startShell(t, p, "dash", &scriptedAgent{})
			p.Types("sh -c 'echo pi''d $$; exec kyc-agentd login -u ana'\n")
			p.Sees("pid ")
			p.Sees("\r\n")
			pid := strings.Fields(p.Seen()[strings.LastIndex(p.Seen(), "pid "):])[1]
			p.Sees("Password for ana at prod? ")
			// Nothing is typed here: the kernel may bring what was typed to the program after a signal
			// that was sent later. TestCtrlZAtASecretPrompt types the stop itself.
			kill(t, "-"+signal, pid)
			p.Sees("Stopped")
			if !p.Echoes() {
				t.Error("the shell's terminal does not echo")
			}
			p.Types("bg; until ps -o state= -p " + pid + " | grep -q T; do sleep 0.1; done; jobs\n")
			p.Sees("Stopped") // as what uses the terminal from the background
			p.Types("fg\n")
			p.Sees("Password for ana at prod? ")
			if p.Echoes() {
				t.Error("the prompt echoes after fg")
			}
			kill(t, "-STOP", pid)
			p.Sees("Stopped")
			p.Types("fg\n")
			p.Sees("Password for ana at prod? ")
			if p.Echoes() {
				t.Error("the prompt echoes after SIGSTOP and fg")
			}
			p.Types("Brand-new-8\n")
			p.Sees("signed in as ana")
			if shown := p.Seen(); strings.Contains(shown, "Brand-new-8") {
				t.Errorf("the screen shows a secret: %q", shown)
			}
		})
	}
}

// A stopped prompt ends when the shell kills its job.
func TestKillAStoppedPrompt(t *testing.T) {
	testpeer.Slow(t)
	p := terminaltest.New(t)
	startShell(t, p, "bash", &scriptedAgent{})
	p.Types("kyc-agentd login -u ana\n")
	p.Sees("Password for ana at prod? ")
	p.Types("\x1a")
	p.Sees("Stopped")
	p.Types("kill %1; wait; echo go''ne $?\n")
	p.Sees("gone")
}

func kill(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("kill", args...).CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
}
