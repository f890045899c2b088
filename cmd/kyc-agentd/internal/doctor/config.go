package doctor

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
)

// checkConfig reads config.toml and the variables as the daemon would.
func checkConfig(_ context.Context, p *probe) (found []Finding) {
	if p.configErr != nil {
		message, fix := advice(p.configErr)
		if fix == "" {
			fix = "correct it, then run: kyc-agentd reload"
		}
		return []Finding{problem("config.invalid", fix, "%s", message)}
	}
	configured := strings.Join(p.config.Names(), ", ")
	for _, text := range p.configWarnings {
		variable, _, _ := strings.Cut(text, " ")
		found = append(found, warning("config.variable", "run: unset "+variable+", or configure its environment", "%s", text))
	}
	if _, ok := p.config.Environments[p.opts.Environment]; p.opts.Environment != "" && !ok {
		found = append(found, problem("config.environment", "name one of: "+configured,
			"no environment %.63q is configured", p.opts.Environment))
	}
	found = append(found, p.notLoaded()...)
	if len(found) == 0 {
		found = append(found, ok("config", "%s", configured))
	}
	return append(found, p.settings()...)
}

// settings shows the servers that are not AWS's own, and what else decides whom the agent
// talks to and trusts: as the agent has it, or as it would have it if none answers.
func (p *probe) settings() (found []Finding) {
	st := p.status
	if !p.answers() {
		st.Network, st.Variables = config.Network(p.opts.Vars), config.Variables(p.opts.Vars)
	}
	for _, name := range p.names() {
		e, ok := p.statusOf(name)
		if !ok {
			e.Endpoints = config.Endpoints(p.pools[name].env)
		}
		if text := statustext.Endpoints(e); text != "" {
			found = append(found, info("config.endpoint", "", "not AWS's own: %s", text).forEnv(name))
		}
	}
	if text := statustext.Network(st); text != "" {
		found = append(found, info("config.network", "", "%s", text))
	}
	if text := statustext.Variables(st); text != "" {
		found = append(found, info("config.variables", "", "these override config.toml: %s", text))
	}
	return found
}

// notLoaded finds environments whose configuration the agent has not loaded yet.
func (p *probe) notLoaded() (found []Finding) {
	for _, name := range p.names() {
		e, ok := p.statusOf(name)
		if needs := statustext.NeedsRestart(e.NeedsRestart); needs != "" {
			found = append(found, p.restarted(warning("config.restart", "run: systemctl --user restart "+serviceUnit,
				"the agent signs in by itself here, and takes this at a restart: %s", needs).forEnv(name)))
		}
		if p.answers() && (!ok || e.APIURL != p.config.Environments[name].BaseURL()) {
			found = append(found, warning("config.not-loaded", "run: kyc-agentd reload",
				"the agent has another configuration than this shell; it started before a change, or with other variables").forEnv(name).
				safe("kyc-agentd", "reload"))
		}
	}
	return found
}

// checkSecrets checks that the agent can read the files that config.toml names. It never
// shows what is in them.
func checkSecrets(_ context.Context, p *probe) (found []Finding) {
	used := 0
	for _, name := range p.names() {
		e := p.config.Environments[name]
		if e.ClientSecretFile.String() != "" || e.Username.String() != "" {
			used++
		}
		if _, err := e.ClientSecret(name, p.opts.Vars); err != nil {
			found = append(found, secretFinding("secrets.client-secret", name, err))
		}
		if err := p.passwordError(name, e); err != nil {
			found = append(found, secretFinding("secrets.password", name, err))
		}
	}
	if p.config.Store.String() == "postgres" && p.config.KnowsPostgres(p.opts.Vars) {
		used++
		if _, err := p.config.Postgres(p.opts.Vars); err != nil {
			message, fix := advice(err)
			found = append(found, problem("secrets.postgres", cmp.Or(fix, "correct it, then run: kyc-agentd restart"), "%s", message))
		}
	}
	if len(found) == 0 && used > 0 {
		found = append(found, ok("secrets", "the files that config.toml names exist, and only you can read them"))
	}
	return found
}

func secretFinding(id, environment string, err error) Finding {
	message, fix := advice(err)
	if fix == "" {
		fix = "correct it, then run: kyc-agentd reload"
	}
	message = strings.TrimPrefix(message, fmt.Sprintf("environments.%s: ", environment))
	return problem(id, fix, "%s", message).forEnv(environment)
}

// passwordError returns why the agent could not read the password of an unattended sign-in.
// Only the agent can see a systemd credential: if it says that it has one, all is well.
func (p *probe) passwordError(name string, e config.Environment) error {
	if st, ok := p.statusOf(name); ok && st.Unattended && e.PasswordFile.String() == "" {
		return nil
	}
	source, err := e.Unattended(name, p.opts.Vars)
	if err != nil || source == nil {
		return err
	}
	_, err = source.Credential()
	return err
}
