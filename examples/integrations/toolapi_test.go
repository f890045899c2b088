package integrations_test

import (
	"fmt"
	"net/http"
	"net/http/cgi"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/examples/internal/testenv"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// serveTools adds to the API what each tool asks for, behind the same check of the token.
func serveTools(t *testing.T, s *testenv.Env) {
	t.Helper()
	text := func(pattern, mediaType, body string) {
		s.API.Handle(pattern, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			fmt.Fprint(w, body)
		}))
	}
	text("GET /version", "application/json", `{"major":"1","minor":"32","gitVersion":"v1.32.0"}`)
	text("GET /goproxy/example.com/kyc/@v/list", "text/plain", "v1.0.0\nv1.1.0\n")
	text("GET /goproxy/example.com/kyc/@v/v1.1.0.info", "application/json", `{"Version":"v1.1.0","Time":"2026-01-01T00:00:00Z"}`)
	text("GET /goproxy/example.com/kyc/@v/v1.1.0.mod", "text/plain", "module example.com/kyc\n")
	s.API.Handle("/repo.git/", repository(t))

	// Terraform's remote service discovery and module registry protocols.
	text("GET /.well-known/terraform.json", "application/json", `{"modules.v1":"/modules/"}`)
	text("GET /modules/kyc/rules/none/versions", "application/json", `{"modules":[{"versions":[{"version":"1.0.0"}]}]}`)
	module := t.TempDir()
	write(t, filepath.Join(module, "main.tf"), "output \"rules\" {\n  value = 7\n}\n")
	s.API.Handle("GET /modules/kyc/rules/none/1.0.0/download", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Terraform-Get", "file://"+module)
		w.WriteHeader(http.StatusNoContent)
	}))
}

// repository serves a git repository with one commit, by git's own server.
func repository(t *testing.T) http.Handler {
	t.Helper()
	git := testpeer.Program(t, "git", "git")
	root := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), git, args...)
		cmd.Env = []string{"HOME=" + root, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_DATE=@1 +0000", "GIT_COMMITTER_DATE=@1 +0000"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	work := filepath.Join(root, "work")
	run("init", "-q", "-b", "main", work)
	run("-C", work, "-c", "user.name=kyc", "-c", "user.email=kyc@example.com", "commit", "-q", "--allow-empty", "-m", "rules")
	run("clone", "-q", "--bare", work, filepath.Join(root, "repo.git"))
	return &cgi.Handler{
		Path: filepath.Join(run("--exec-path"), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + root},
		Root: "/",
	}
}
