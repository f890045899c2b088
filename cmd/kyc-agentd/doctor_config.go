package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
)

// checkConfig reads config.toml and the variables as the daemon would.
func checkConfig(_ context.Context, p *probe) (found []finding) {
	if p.configErr != nil {
		message, fix := advice(p.configErr)
		if fix == "" {
			fix = "correct it, then run: kyc-agentd reload"
		}
		return []finding{problem("config.invalid", fix, "%s", message)}
	}
	for _, text := range p.configWarnings {
		found = append(found, warning("config.variable", "run: unset "+firstWord(text)+", or configure its environment", "%s", text))
	}
	if _, ok := p.config.Environments[p.environment]; p.environment != "" && !ok {
		found = append(found, problem("config.environment", "name one of: "+strings.Join(p.config.Names(), ", "), "no environment %.63q is configured", p.environment))
	}
	found = append(found, p.notLoaded()...)
	if len(found) == 0 {
		found = append(found, fine("config", "%s", strings.Join(p.config.Names(), ", ")))
	}
	return found
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

// notLoaded finds environments that the agent has not read yet.
func (p *probe) notLoaded() (found []finding) {
	for _, name := range p.names() {
		e, ok := p.statusOf(name)
		if p.answers() && (!ok || e.APIURL != p.config.Environments[name].BaseURL()) {
			found = append(found, warning("config.not-loaded", "run: kyc-agentd reload", "the agent has another configuration than this shell; it started before a change, or with other variables").forEnv(name))
		}
	}
	return found
}

// checkSecrets looks at the files that config.toml names, and never at what is in them
// beyond its form.
func checkSecrets(_ context.Context, p *probe) (found []finding) {
	used := 0
	for _, name := range p.names() {
		e := p.config.Environments[name]
		if e.ClientSecretFile.String() != "" || e.Username.String() != "" {
			used++
		}
		if _, err := e.ClientSecret(name, p.vars); err != nil {
			found = append(found, secretFinding("secrets.client-secret", name, err))
		}
		if err := p.passwordError(name, e); err != nil {
			found = append(found, secretFinding("secrets.password", name, err))
		}
	}
	if len(found) == 0 && used > 0 {
		found = append(found, fine("secrets", "the files that config.toml names are there, and yours alone"))
	}
	return found
}

func secretFinding(id, environment string, err error) finding {
	message, fix := advice(err)
	if fix == "" {
		fix = "correct it, then run: kyc-agentd reload"
	}
	return problem(id, fix, "%s", strings.TrimPrefix(message, fmt.Sprintf("environments.%s: ", environment))).forEnv(environment)
}

// passwordError is what is wrong with what the agent signs in with by itself. A
// systemd credential is for the agent's eyes: where the agent has one, all is well.
func (p *probe) passwordError(name string, e config.Environment) error {
	if st, ok := p.statusOf(name); ok && st.Unattended && e.PasswordFile.String() == "" {
		return nil
	}
	source, err := e.Unattended(name, p.vars)
	if err != nil || source == nil {
		return err
	}
	_, err = source.Credential()
	return err
}
