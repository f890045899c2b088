package engine

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer/freeport"
)

// The namespace of a Kubernetes, and the tokens of its users.
const (
	Namespace  = "kyc"
	adminToken = "admin-token-of-the-test"
	agentToken = "agent-token-of-the-test"
)

// A Kubernetes is an API server with RBAC on etcd. The service account "kyc-agent" of Namespace
// may do what somebody grants it; nothing at first.
type Kubernetes struct {
	dir, bin        string
	port            int
	etcdPort, peer  int
	etcd, apiserver *process
	client          *http.Client
}

// KubeBinaries is where `make kube` builds etcd and kube-apiserver: $KYC_KUBE, or a folder in the
// user's cache, so that a clean checkout does not build them again.
func KubeBinaries() string {
	if dir := os.Getenv("KYC_KUBE"); dir != "" {
		return dir
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "kyc-agent", "kube-1.36.3")
}

// StartKubernetes starts the programs etcd and kube-apiserver of the folder bin, which is
// KubeBinaries, with their files in dir.
func StartKubernetes(dir, bin string) (*Kubernetes, error) {
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return nil, fmt.Errorf("%w: %s; run: make kube", ErrMissing, filepath.Join(bin, name))
		}
	}
	k := &Kubernetes{dir: filepath.Join(dir, "kubernetes"), bin: bin}
	var err error
	for _, port := range []*int{&k.port, &k.etcdPort, &k.peer} {
		if *port, err = freeport.Find(); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return nil, err
	}
	tokens := adminToken + ",admin,1,system:masters\n" +
		agentToken + ",system:serviceaccount:" + Namespace + ":kyc-agent,2,\"system:serviceaccounts,system:authenticated\"\n"
	if err := os.WriteFile(k.path("tokens.csv"), []byte(tokens), 0o600); err != nil {
		return nil, err
	}
	if err := writeKey(k.path("sa.key")); err != nil {
		return nil, err
	}
	if err := k.Start(); err != nil {
		return nil, err
	}
	err = k.must("POST", "/api/v1/namespaces", map[string]any{"metadata": map[string]any{"name": Namespace}}, http.StatusCreated)
	if err != nil {
		k.Stop()
		return nil, err
	}
	return k, nil
}

func (k *Kubernetes) path(name string) string { return filepath.Join(k.dir, name) }

func writeKey(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

// Start starts etcd and the API server again. Neither runs after an error.
func (k *Kubernetes) Start() error {
	err := k.start()
	if err != nil {
		k.Stop()
	}
	return err
}

func (k *Kubernetes) start() (err error) {
	etcdURL := "http://127.0.0.1:" + strconv.Itoa(k.etcdPort)
	peerURL := "http://127.0.0.1:" + strconv.Itoa(k.peer)
	log := filepath.Join(filepath.Dir(k.dir), "kubernetes.log")
	k.etcd, err = start(exec.Command(filepath.Join(k.bin, "etcd"), "--data-dir", k.path("etcd"), "--listen-client-urls", etcdURL,
		"--advertise-client-urls", etcdURL, "--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL,
		"--initial-cluster", "default="+peerURL, "--log-level", "error"), log)
	if err != nil {
		return err
	}
	k.apiserver, err = start(exec.Command(filepath.Join(k.bin, "kube-apiserver"), "--etcd-servers", etcdURL,
		"--service-account-key-file", k.path("sa.key"), "--service-account-signing-key-file", k.path("sa.key"),
		"--service-account-issuer", "https://kubernetes.default.svc", "--token-auth-file", k.path("tokens.csv"),
		"--authorization-mode", "RBAC", "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", strconv.Itoa(k.port),
		"--cert-dir", k.path("certs"), "--disable-admission-plugins", "ServiceAccount", "--service-cluster-ip-range", "10.0.0.0/24",
		"--endpoint-reconciler-type", "none"), log)
	if err != nil {
		return err
	}
	return k.apiserver.await("kube-apiserver", func() error {
		status, _, err := k.call("GET", "/readyz", nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})
}

// Stop ends those that run, at once, as a crash would.
func (k *Kubernetes) Stop() {
	k.apiserver.end(syscall.SIGKILL)
	k.etcd.end(syscall.SIGKILL)
}

// Suspend stops etcd without ending it: the API server answers, and nothing can be read.
func (k *Kubernetes) Suspend() { _ = k.etcd.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume goes on.
func (k *Kubernetes) Resume() { _ = k.etcd.cmd.Process.Signal(syscall.SIGCONT) }

// Addr is where the API server listens.
func (k *Kubernetes) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(k.port)) }

// Credentials makes a folder as a pod finds it, with the token of the service account.
func (k *Kubernetes) Credentials(dir string) error {
	ca, err := os.ReadFile(k.path("certs/apiserver.crt"))
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{"ca.crt": ca, "token": []byte(agentToken), "namespace": []byte(Namespace)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Environ are the variables of a pod, for a port of loopback or the server's own for 0.
func (k *Kubernetes) Environ(port int) []string {
	if port == 0 {
		port = k.port
	}
	return []string{"KUBERNETES_SERVICE_HOST=127.0.0.1", "KUBERNETES_SERVICE_PORT=" + strconv.Itoa(port)}
}

// Apply makes an object of the namespace, or replaces it. kind is that of its path: "secrets",
// "roles", "rolebindings".
func (k *Kubernetes) Apply(kind string, object map[string]any) error {
	group := "/api/v1"
	if strings.HasPrefix(kind, "role") {
		group = "/apis/rbac.authorization.k8s.io/v1"
	}
	name := object["metadata"].(map[string]any)["name"].(string)
	path := group + "/namespaces/" + Namespace + "/" + kind
	status, body, err := k.call("POST", path, object)
	if err == nil && status == http.StatusConflict {
		status, body, err = k.call("PUT", path+"/"+name, object)
	}
	if err == nil && status >= 300 {
		err = fmt.Errorf("%s %s: %d %s", kind, name, status, body)
	}
	return err
}

// Delete removes one.
func (k *Kubernetes) Delete(path string) error {
	return k.must("DELETE", path, nil, http.StatusOK)
}

// Secret returns the data of a Secret as the administrator sees it.
func (k *Kubernetes) Secret(name string) (map[string][]byte, error) {
	_, body, err := k.call("GET", "/api/v1/namespaces/"+Namespace+"/secrets/"+name, nil)
	var s struct{ Data map[string][]byte }
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	return s.Data, err
}

// AsAgent makes a call as the service account and returns the status.
func (k *Kubernetes) AsAgent(method, path string) (int, error) {
	status, _, err := k.callAs(agentToken, method, path, nil)
	return status, err
}

// Dump returns all that etcd has, as its file on the disk.
func (k *Kubernetes) Dump() ([]byte, error) {
	return os.ReadFile(k.path("etcd/member/snap/db"))
}

func (k *Kubernetes) must(method, path string, object any, want int) error {
	status, body, err := k.call(method, path, object)
	if err == nil && status != want {
		err = fmt.Errorf("%s %s: %d %s", method, path, status, body)
	}
	return err
}

func (k *Kubernetes) call(method, path string, object any) (int, []byte, error) {
	return k.callAs(adminToken, method, path, object)
}

func (k *Kubernetes) callAs(token, method, path string, object any) (int, []byte, error) {
	body, err := json.Marshal(object)
	if err != nil {
		return 0, nil, err
	}
	if err := k.connect(); err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequest(method, "https://"+k.Addr()+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, data, err
}

// connect makes the client. The API server makes its certificate when it starts, and the file is
// empty for a moment: an authority is only one that has been read whole.
func (k *Kubernetes) connect() error {
	if k.client != nil {
		return nil
	}
	ca, err := os.ReadFile(k.path("certs/apiserver.crt"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return fmt.Errorf("%s has no certificate", k.path("certs/apiserver.crt"))
	}
	k.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	return nil
}

// Verbs are what an agent needs of the Role for its Secret.
func Verbs() []string { return []string{"get", "update", "watch"} }

// Create makes an object of a manifest in the namespace, or replaces it.
func (k *Kubernetes) Create(o map[string]any) error {
	kind := o["kind"].(string)
	if kind == "Deployment" {
		return k.must("POST", "/apis/apps/v1/namespaces/"+Namespace+"/deployments", o, http.StatusCreated)
	}
	return k.Apply(strings.ToLower(kind)+"s", o)
}

// Install makes an empty Secret, and a Role for it with the verbs, by default those that an agent
// needs, and gives the Role to the service account.
func (k *Kubernetes) Install(secret string, verbs ...string) error {
	if len(verbs) == 0 {
		verbs = Verbs()
	}
	named := func(more map[string]any) map[string]any {
		more["metadata"] = map[string]any{"name": secret}
		return more
	}
	if _, err := k.Secret(secret); err != nil {
		return err
	}
	rule := map[string]any{"apiGroups": []string{""}, "resources": []string{"secrets"}, "resourceNames": []string{secret}, "verbs": verbs}
	for _, o := range []struct {
		kind   string
		object map[string]any
	}{
		{"roles", named(map[string]any{"rules": []any{rule}})},
		{"rolebindings", named(map[string]any{
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": secret},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "kyc-agent", "namespace": Namespace}},
		})},
		{"secrets", named(map[string]any{"type": "Opaque"})},
	} {
		if err := k.Apply(o.kind, o.object); err != nil {
			return err
		}
	}
	return nil
}
