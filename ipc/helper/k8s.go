package helper

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/format"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// execVersions are the supported versions of an ExecCredential. A client accepts only the
// one that it asks for.
var execVersions = []string{format.ExecCredentialV1, "client.authentication.k8s.io/v1beta1"}

// answerK8s answers the ExecCredential in KUBERNETES_EXEC_INFO, which names the version
// that the Kubernetes client speaks.
func answerK8s(c *call) (Answer, error) {
	version, err := execVersion(c.body)
	if err != nil {
		return Answer{}, wire.InEnvironment(c.environment, err)
	}
	t, err := c.token(c.environment)
	if err != nil {
		return Answer{}, err
	}
	return answerWith(t, wire.MediaJSON, format.RenderExecCredential(version, t, time.Now())), nil
}

func execVersion(info string) (string, error) {
	var request struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if json.Unmarshal([]byte(info), &request) != nil || request.Kind != format.ExecCredentialKind {
		return "", wire.UsageError("KUBERNETES_EXEC_INFO is no ExecCredential; unset it, or run kyc-token from a kubeconfig")
	}
	if !slices.Contains(execVersions, request.APIVersion) {
		return "", &agent.Error{
			Code: agent.CodeUsage, Op: "helper",
			Message: "KUBERNETES_EXEC_INFO asks for apiVersion " + wire.Quote(request.APIVersion),
			Hint:    "set apiVersion in the kubeconfig to " + strings.Join(execVersions, " or "),
		}
	}
	return request.APIVersion, nil
}
