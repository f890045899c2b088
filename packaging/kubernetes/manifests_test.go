// Package kubernetes_test checks the manifests of a fleet in Kubernetes, with the programs and a
// real API server.
package kubernetes_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/engine"
	"github.com/legaltalent/kyc-agent/internal/testpeer/enginetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testpeer.Cleanup()
	os.Exit(code)
}

// objects returns the objects of a manifest.
func objects(t *testing.T, file string) (all []map[string]any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for d := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var o map[string]any
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, o)
	}
}

// object returns the one object of a kind.
func object(t *testing.T, file, kind string) map[string]any {
	t.Helper()
	for _, o := range objects(t, file) {
		if o["kind"] == kind {
			return o
		}
	}
	t.Fatalf("%s has no %s", file, kind)
	return nil
}

// at returns what is at a path of keys and indices.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			l, _ := v.([]any)
			if step >= len(l) {
				t.Fatalf("%v: %v is not there", path, step)
			}
			v = l[step]
		}
	}
	if v == nil {
		t.Fatalf("%v is not there", path)
	}
	return v
}

// The Role has the verbs with which the tests of store/kubernetes run, for one Secret.
func TestRoleIsLeast(t *testing.T) {
	role := object(t, "rights.yaml", "Role")
	rules := at(t, role, "rules").([]any)
	if len(rules) != 1 {
		t.Fatalf("%d rules", len(rules))
	}
	var verbs []string
	for _, v := range at(t, rules, 0, "verbs").([]any) {
		verbs = append(verbs, v.(string))
	}
	if !slices.Equal(verbs, engine.Verbs()) {
		t.Errorf("the Role has the verbs %v, and the tests run with %v", verbs, engine.Verbs())
	}
	for key, want := range map[string]string{"resources": "secrets", "resourceNames": "kyc-agent", "apiGroups": ""} {
		if list := at(t, rules, 0, key).([]any); len(list) != 1 || list[0] != want {
			t.Errorf("%s are %v, want %q alone", key, list, want)
		}
	}
	if name := at(t, object(t, "rights.yaml", "Secret"), "metadata", "name"); name != "kyc-agent" {
		t.Errorf("the Secret is %v", name)
	}
	if _, has := object(t, "rights.yaml", "Secret")["data"]; has {
		t.Error("to apply the manifest again would replace what the agents have put into the Secret")
	}
}

// kyc-agentd accepts the configuration, and the probe and the arguments are of its commands.
func TestDeploymentOfTheProgram(t *testing.T) {
	testpeer.Slow(t)
	agentd := testpeer.Build(t, "kyc-agentd")
	dir := t.TempDir()
	config := filepath.Join(dir, "config.toml")
	text := at(t, object(t, "deployment.yaml", "ConfigMap"), "data", "config.toml").(string)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		cmd := exec.Command(agentd, args...)
		cmd.Env = []string{"HOME=" + dir, "LC_ALL=C"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("kyc-agentd %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("config", "check", "--config", config)
	if got := strings.TrimSpace(run("config", "get", "kubernetes_secret", "--config", config)); got != at(t, object(t, "rights.yaml", "Secret"), "metadata", "name") {
		t.Errorf("the configuration has the Secret %q", got)
	}
	pod := at(t, object(t, "deployment.yaml", "Deployment"), "spec", "template", "spec")
	sidecar := at(t, pod, "initContainers", 0)
	probe := at(t, sidecar, "readinessProbe", "exec", "command").([]any)
	if len(probe) != 3 || probe[1] != "status" || !strings.Contains(text, `"`+probe[2].(string)+`"`) {
		t.Errorf("the probe is %v", probe)
	}
	program, _ := os.ReadFile("Containerfile")
	if !strings.Contains(string(program), "ENTRYPOINT [\""+probe[0].(string)+"\"]") {
		t.Errorf("%v is not in the image", probe[0])
	}
	for path, want := range map[string]any{"readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false} {
		if got := at(t, sidecar, "securityContext", path); got != want {
			t.Errorf("%s is %v", path, got)
		}
	}
	if at(t, pod, "securityContext", "runAsNonRoot") != true || at(t, pod, "terminationGracePeriodSeconds").(int) < 65 {
		t.Error("the pod runs as root, or ends before a refresh that was sent")
	}
	if text := at(t, pod, "volumes", 1, "secret", "defaultMode"); text != 0o440 {
		t.Errorf("the mode of the key is %v", text)
	}
}

// A real API server takes all objects, and the service account can do what it needs and no more.
func TestManifestsApply(t *testing.T) {
	testpeer.Long(t)
	k := enginetest.Kubernetes(t)
	for _, file := range []string{"rights.yaml", "deployment.yaml"} {
		for _, o := range objects(t, file) {
			if err := k.Create(o); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

// The image holds two programs that run as nobody.
func TestImage(t *testing.T) {
	testpeer.Slow(t)
	recipe, err := os.ReadFile("Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"FROM scratch\n", "USER 65532:65532\n"} {
		if !strings.Contains(string(recipe), want) {
			t.Errorf("no %q", want)
		}
	}
	podman := testpeer.Program(t, "podman", "podman")
	testpeer.Root(t)
	dir := t.TempDir()
	for name, from := range map[string]string{"kyc-agentd": testpeer.Build(t, "kyc-agentd"), "kyc-token": testpeer.Build(t, "kyc-token"), "ca-certificates.crt": "/etc/ssl/certs/ca-certificates.crt"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	storage := []string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "runroot"), "--storage-driver", "vfs"}
	out, err := exec.Command(podman, append(storage, "build", "-q", "--network=none", "-f", "Containerfile", "-t", "kyc-agent-test", dir)...).CombinedOutput()
	if err != nil {
		t.Fatalf("podman build: %v\n%s", err, out)
	}
	out, err = exec.Command(podman, append(storage, "image", "inspect", "--format", "{{.Config.User}} {{.Config.Entrypoint}}", "kyc-agent-test")...).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "65532:65532 [/usr/bin/kyc-agentd]" {
		t.Errorf("%s, %v", out, err)
	}
}
