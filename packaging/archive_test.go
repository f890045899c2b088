package packaging_test

import (
	"debug/elf"
	"debug/macho"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/roots"
)

// testArchives unpacks the archives: each has static programs for its system, documents whose
// links lead somewhere, and what starts the agent. That for this machine runs in a Debian
// without Go.
func testArchives(t *testing.T, dist string) {
	for _, system := range []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"} {
		name := "kyc-agent_1.0.0_" + system
		dir := t.TempDir()
		if out, err := exec.CommandContext(t.Context(), "tar", "-C", dir, "-xzf", filepath.Join(dist, name+".tar.gz")).CombinedOutput(); err != nil {
			t.Fatalf("tar: %v\n%s", err, out)
		}
		root := filepath.Join(dir, name)
		for _, program := range []string{"kyc-agentd", "kyc-token"} {
			checkProgram(t, filepath.Join(root, "bin", program), system)
		}
		for _, file := range append([]string{"doc/kyc-agent/LICENSE", "doc/kyc-agent/NOTICES.gz", "doc/kyc-agent/docs/recording.svg"}, shared...) {
			if _, err := os.Stat(filepath.Join(root, "share", file)); err != nil {
				t.Error(err)
			}
		}
		checkLinks(t, filepath.Join(root, "share/doc/kyc-agent"))
		service, err := os.ReadFile(filepath.Join(root, "lib/systemd/user/kyc-agentd.service"))
		if linux := strings.HasPrefix(system, "linux"); linux != (err == nil) || linux && !strings.Contains(string(service), "\nExecStart=/usr/local/bin/kyc-agentd serve\n") {
			t.Errorf("%s: %v\n%s", system, err, service)
		}
	}
	t.Run("without Go", func(t *testing.T) {
		s := &bootedSystem{t: t, machine: roots.Boot(t, roots.Bookworm)}
		s.machine.Copy(filepath.Join(dist, "kyc-agent_1.0.0_linux_amd64.tar.gz"), "/root/a.tar.gz", 0o600)
		s.must(127, "root", "go version", "")
		s.root("tar -xzf a.tar.gz -C /usr/local --strip-components=1")
		s.match(s.root("stat -c '%A %U:%G' /usr/local/bin/kyc-agentd"), "-rwx--x--x root:root\n")
		s.user("systemctl --user daemon-reload && systemctl --user enable --now kyc-agentd.socket")
		s.says("kyc-token -version; kyc-agentd version", "kyc-token v1.0.0\nkyc-agentd v1.0.0\n")
		s.must(77, roots.User, "kyc-token prod", "")
	})
}

// checkProgram checks that a program is for a system and, on Linux, static.
func checkProgram(t *testing.T, path, system string) {
	t.Helper()
	if strings.HasPrefix(system, "darwin") {
		f, err := macho.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if want := map[string]macho.Cpu{"darwin_amd64": macho.CpuAmd64, "darwin_arm64": macho.CpuArm64}[system]; f.Cpu != want {
			t.Errorf("%s is for %s", path, f.Cpu)
		}
		return
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if want := map[string]elf.Machine{"linux_amd64": elf.EM_X86_64, "linux_arm64": elf.EM_AARCH64}[system]; f.Machine != want {
		t.Errorf("%s is for %s", path, f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is not static", path)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s#]+)`)

// checkLinks checks that what README.md and the documents link to is there.
func checkLinks(t *testing.T, dir string) {
	t.Helper()
	links := 0
	for name := range files(t, dir) {
		if filepath.Ext(name) != ".md" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllSubmatch(text, -1) {
			if target := string(m[1]); !strings.Contains(target, ":") {
				links++
				if _, err := os.Stat(filepath.Join(dir, filepath.Dir(name), target)); err != nil {
					t.Errorf("%s links to %s: %v", name, target, err)
				}
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links in %s", links, dir)
	}
}

// TestDocs does to README.md what a release does: no link leads nowhere.
func TestDocs(t *testing.T) {
	testpeer.Slow(t)
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "run", "./packaging/docs", "-o", dir, "-ref", "v1.0.0")
	cmd.Dir = testpeer.ModuleRoot()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checkLinks(t, dir)
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil || !strings.Contains(string(readme), "](https://github.com/legaltalent/kyc-agent/blob/v1.0.0/ipc/doc.go)") {
		t.Errorf("README.md does not link to source at the tag: %v", err)
	}
}
