package doctor

import (
	"context"
	"os"
	"runtime"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// otherBundles are the variables by which other programs find the CA of a company's proxy.
// Go reads none of them.
var otherBundles = []string{"AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}

// checkCertificates looks at the variables that name CA certificates.
func checkCertificates(_ context.Context, p *probe) []Finding {
	if runtime.GOOS == "darwin" {
		return nil // the keychain has them
	}
	if err := config.CheckCertificates(p.opts.Vars); err != nil {
		message, fix := advice(err)
		return []Finding{problem("ca.writable", fix, "%s", message)}
	}
	file := p.opts.Vars.Get("SSL_CERT_FILE")
	if file == "" {
		return p.ignoredBundle()
	}
	setForAgent := "run: systemctl --user edit " + serviceUnit + ", write [Service] and Environment=SSL_CERT_FILE=" + file + ", then restart it"
	switch _, err := os.Stat(file); {
	case err != nil:
		return []Finding{problem("ca.missing", "correct SSL_CERT_FILE; see: ls -l "+shellquote.Quote(file),
			"SSL_CERT_FILE is %s: %s", file, config.PlainCause(err))}
	case p.answers() && p.status.Version == p.opts.Version && p.status.Network["ca_file"] != file:
		return []Finding{warning("ca.shell-only", setForAgent, "SSL_CERT_FILE is set in this shell, and the agent has another one or none")}
	}
	return []Finding{ok("ca", "SSL_CERT_FILE adds certificates")}
}

// ignoredBundle is a note about a variable that the agent does not read. Nothing has to be done
// while the certificates of the machine are enough.
func (p *probe) ignoredBundle() []Finding {
	for _, name := range otherBundles {
		if file := p.opts.Vars.Get(name); file != "" && p.status.Network["ca_file"] == "" {
			return []Finding{info("ca.ignored", "if TLS fails, run: systemctl --user edit "+serviceUnit+
				", write [Service] and Environment=SSL_CERT_FILE="+file+", then restart it", "%s is set, and the agent does not read it", name)}
		}
	}
	return nil
}
