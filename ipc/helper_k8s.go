package ipc

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// execVersions are the versions of an ExecCredential that can be answered. A client
// takes no other than the one it asks for.
var execVersions = []string{execCredentialV1, "client.authentication.k8s.io/v1beta1"}

// k8s answers the ExecCredential in KUBERNETES_EXEC_INFO, in which a Kubernetes client
// tells the version it speaks.
func (a *api) k8s(q helperRequest) (reply, error) {
	version, err := execVersion(q.body)
	if err != nil {
		return reply{}, inEnvironment(q.environment, err)
	}
	t, err := a.tokenOf(q.environment, q)
	if err != nil {
		return reply{}, err
	}
	return answerWith(t, mediaJSON, renderExecCredential(version, t, time.Now())), nil
}

func execVersion(info string) (string, error) {
	var asked struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if json.Unmarshal([]byte(info), &asked) != nil || asked.Kind != execCredentialKind {
		return "", usage("KUBERNETES_EXEC_INFO is no ExecCredential; unset it, or run kyc-token from a kubeconfig")
	}
	if !slices.Contains(execVersions, asked.APIVersion) {
		return "", &agent.Error{
			Code: agent.CodeUsage, Op: "helper",
			Message: "KUBERNETES_EXEC_INFO asks for apiVersion " + quoted(asked.APIVersion),
			Hint:    "set apiVersion in the kubeconfig to " + strings.Join(execVersions, " or "),
		}
	}
	return asked.APIVersion, nil
}
