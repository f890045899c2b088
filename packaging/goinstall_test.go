package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// TestGoInstall installs both programs as `go install …@v1.0.0` does, from a module proxy in
// a folder. They have neither the linker's stamp nor its entry, and say their version.
func TestGoInstall(t *testing.T) {
	testpeer.Long(t)
	m, source, proxy, bin := newMakeEnv(t), clone(t, "v1.0.0"), t.TempDir(), t.TempDir()
	const module = "github.com/legaltalent/kyc-agent"
	at := filepath.Join(proxy, module, "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, filepath.Join(source, "go.mod"), filepath.Join(at, "v1.0.0.mod"))
	for name, text := range map[string]string{"v1.0.0.info": `{"Version":"v1.0.0"}`, "list": "v1.0.0\n"} {
		if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(dir, name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		cmd.Env = append([]string{"HOME=" + m.home, "PATH=" + os.Getenv("PATH")}, m.goVariable...)
		cmd.Env = append(cmd.Env, "GOBIN="+bin, "GOFLAGS=-modcacherw", "GONOSUMDB="+module, "GOMODCACHE="+t.TempDir(),
			"GOPROXY=file://"+proxy+",file://"+filepath.Join(goEnv(t, "GOMODCACHE"), "cache/download"), "GOSUMDB=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	run(source, "git", "archive", "--format=zip", "--prefix="+module+"@v1.0.0/", "-o", filepath.Join(at, "v1.0.0.zip"), "HEAD",
		".", ":(exclude)examples/integrations/testdata/aws") // another module, which no zip has
	run(proxy, "go", "install", module+"/cmd/...@v1.0.0")
	for _, c := range [][]string{{"kyc-agentd", "version"}, {"kyc-token", "-version"}} {
		if got, want := run(proxy, filepath.Join(bin, c[0]), c[1]), c[0]+" v1.0.0\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "kyc-token"), "prod")
	cmd.Env = []string{"KYC_AGENT_SOCK=" + filepath.Join(proxy, "none")}
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 69 {
		t.Errorf("without an agent: %v\n%s", err, out)
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out[:len(out)-1])
}
