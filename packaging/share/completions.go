package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// shells are the paths at which each shell looks for the completions of a program.
var shells = []struct{ name, folder, file string }{
	{"bash", "bash-completion/completions", "%s"},
	{"zsh", "zsh/site-functions", "_%s"},
	{"fish", "fish/vendor_completions.d", "%s.fish"},
}

// completions writes the completions of both programs.
func completions(dir string) error {
	agent, err := built("kyc-agentd")
	if err != nil {
		return err
	}
	for _, s := range shells {
		script, err := exec.Command(agent, "completion", s.name).Output()
		if err != nil {
			return fmt.Errorf("kyc-agentd completion %s: %w", s.name, err)
		}
		if err := write(filepath.Join(dir, s.folder, fmt.Sprintf(s.file, "kyc-agentd")), script); err != nil {
			return err
		}
		name := map[string]string{"bash": "kyc-token.bash", "zsh": "_kyc-token", "fish": "kyc-token.fish"}[s.name]
		if script, err = os.ReadFile(filepath.Join("packaging", "completions", name)); err != nil {
			return err
		}
		if err := write(filepath.Join(dir, s.folder, fmt.Sprintf(s.file, "kyc-token")), script); err != nil {
			return err
		}
	}
	return nil
}
