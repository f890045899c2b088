package browser

import (
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
)

// Open starts a browser that shows page: the first command that can be started and does not
// fail. It returns false if there is none to try; failed is called if all fail. Open does not
// wait for the browser, which gets no terminal and outlives this process.
func Open(page string, vars config.Environ, failed func()) bool {
	commands := commands(vars)
	if len(commands) == 0 {
		return false
	}
	go func() {
		for _, command := range commands {
			if run(command, page, vars) == nil {
				return
			}
		}
		failed()
	}()
	return true
}

// commands returns the commands that may show a page here, in the order in which they are tried.
func commands(vars config.Environ) (list []string) {
	for command := range strings.SplitSeq(vars.Get("BROWSER"), ":") {
		if command != "" {
			list = append(list, command)
		}
	}
	switch {
	case vars.Get("SSH_CONNECTION") != "":
		// A browser would show on another machine than the one in front of the person. Only
		// who has set BROWSER knows better; an editor with a remote window does.
	case runtime.GOOS == "darwin":
		list = append(list, "open")
	case vars.Get("WSL_DISTRO_NAME") != "":
		list = append(list, "wslview", "xdg-open")
	case vars.Get("DISPLAY") != "" || vars.Get("WAYLAND_DISPLAY") != "":
		// Without a display xdg-open would start a browser for terminals in this one.
		list = append(list, "xdg-open", "wslview")
	}
	return list
}

// run runs a command of $BROWSER: words, one of which may be %s for the page.
func run(command, page string, vars config.Environ) error {
	words := strings.Fields(command)
	if len(words) == 0 {
		return exec.ErrNotFound
	}
	if !strings.Contains(command, "%s") {
		words = append(words, "%s")
	}
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], "%s", page)
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = slices.DeleteFunc(slices.Clone([]string(vars)), private)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C at the terminal is not for the browser
	return cmd.Run()
}

// private reports whether a variable is not for a browser: a token, or what belongs to a service.
func private(kv string) bool {
	name, _, _ := strings.Cut(kv, "=")
	return strings.HasPrefix(name, "KYC_") || strings.HasPrefix(name, "LISTEN_") ||
		slices.Contains([]string{"NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY", "WATCHDOG_USEC", "WATCHDOG_PID"}, name)
}
