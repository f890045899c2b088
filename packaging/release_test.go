package packaging_test

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/roots"
)

// clone copies this checkout, and commits and tags the copy. The commit has a fixed time.
func clone(t *testing.T, tag string) (dir string) {
	t.Helper()
	testpeer.Program(t, "git", "git")
	dir = t.TempDir()
	git := func(dir string, args ...string) []byte {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z",
			"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %s: %v", strings.Join(args, " "), err)
		}
		return out
	}
	list := git(testpeer.ModuleRoot(), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		copyFile(t, filepath.Join(testpeer.ModuleRoot(), name), filepath.Join(dir, name))
	}
	git(dir, "init", "--quiet")
	git(dir, "add", "--all")
	git(dir, "commit", "--quiet", "--message=a release")
	git(dir, "tag", tag)
	return dir
}

// release makes the packages in a clone and returns its dist folder. All files have the
// time of the clone's commit.
func release(t *testing.T, tag string, args ...string) string {
	t.Helper()
	m, dir := newMakeEnv(t), clone(t, tag)
	if out, err := m.runIn(dir, append([]string{"release"}, args...)...); err != nil {
		t.Fatalf("make release: %v\n%s", err, out)
	}
	return filepath.Join(dir, "dist")
}

// copyFile copies a file or link and makes its folders. It ignores a file that does not
// exist: git also lists deleted ones.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Lstat(from)
	if os.IsNotExist(err) {
		return
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode()&os.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		if err == nil {
			err = os.Symlink(target, to)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	content, err := os.ReadFile(from)
	if err == nil {
		err = testpeer.WriteProgram(to, content, info.Mode().Perm())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sums returns the SHA-256 sums of the files in dir.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name := range files(t, dir) {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		found[name] = fmt.Sprintf("%x", sha256.Sum256(content))
	}
	return found
}

// TestPackages makes two releases and tests their packages. Its log has the commands of an
// administrator and a user on clean systems, and their output.
func TestPackages(t *testing.T) {
	testpeer.Long(t)
	first, next := release(t, "v1.0.0"), release(t, "v1.1.0", "SYSTEMS=linux", "ARCHES=amd64")
	deb := filepath.Join(first, "kyc-agent_1.0.0-1_amd64.deb")
	t.Run("reproducible", func(t *testing.T) { testReproducible(t, first) })
	t.Run("contents", func(t *testing.T) { testContents(t, first) })
	t.Run("archives", func(t *testing.T) { testArchives(t, first) })
	t.Run("lintian", func(t *testing.T) { testLintian(t, deb) })
	t.Run("piuparts", func(t *testing.T) { testPiuparts(t, deb) })
	for _, suite := range []roots.Suite{roots.Bookworm, roots.Trixie} {
		t.Run("deb on "+string(suite), func(t *testing.T) {
			s := &bootedSystem{t: t, machine: roots.Boot(t, suite)}
			s.machine.Copy(deb, "/root/kyc-agent_1.0.0-1_amd64.deb", 0o600)
			s.machine.Copy(filepath.Join(next, "kyc-agent_1.1.0-1_amd64.deb"), "/root/kyc-agent_1.1.0-1_amd64.deb", 0o600)
			testDeb(s)
		})
	}
	t.Run("rpm", func(t *testing.T) {
		testRPM(t, filepath.Join(first, "kyc-agent-1.0.0-1.x86_64.rpm"), filepath.Join(next, "kyc-agent-1.1.0-1.x86_64.rpm"))
	})
}

// testReproducible checks that a release has the same bytes wherever it is made.
func testReproducible(t *testing.T, here string) {
	first, second := sums(t, here), sums(t, release(t, "v1.0.0"))
	want := []string{
		"CHANGES.md", "SHA256SUMS",
		"kyc-agent-1.0.0-1.aarch64.rpm", "kyc-agent-1.0.0-1.x86_64.rpm", "kyc-agent-1.0.0.tar.gz",
		"kyc-agent.rb", "kyc-agent_1.0.0-1_amd64.deb", "kyc-agent_1.0.0-1_arm64.deb", "kyc-agent_1.0.0.cdx.json",
		"kyc-agent_1.0.0_darwin_amd64.tar.gz", "kyc-agent_1.0.0_darwin_arm64.tar.gz",
		"kyc-agent_1.0.0_linux_amd64.tar.gz", "kyc-agent_1.0.0_linux_arm64.tar.gz",
	}
	if got := slices.Sorted(maps.Keys(first)); !slices.Equal(got, want) {
		t.Errorf("dist has %q, want %q", got, want)
	}
	for name, sum := range first {
		if second[name] != sum {
			t.Errorf("%s is %s here and %s elsewhere", name, sum, second[name])
		}
	}
	cmd := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "SHA256SUMS")
	cmd.Dir = here
	if out, err := cmd.CombinedOutput(); err != nil || bytes.Count(out, []byte(": OK\n")) != len(want)-1 {
		t.Errorf("sha256sum: %v\n%s", err, out)
	}
	formula, err := os.ReadFile(filepath.Join(here, "kyc-agent.rb"))
	if err != nil || !bytes.Contains(formula, []byte(first["kyc-agent-1.0.0.tar.gz"])) || bytes.Contains(formula, []byte("@")) {
		t.Errorf("the formula is not filled in: %v\n%s", err, formula)
	}
}

// testContents checks that both formats have the same files, for the right architecture.
func testContents(t *testing.T, dist string) {
	dpkg, rpm := testpeer.Program(t, "dpkg-deb", "dpkg"), testpeer.Program(t, "rpm", "rpm")
	output := func(name string, args ...string) string {
		out, err := exec.CommandContext(t.Context(), name, args...).Output()
		if err != nil {
			t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
		}
		return string(out)
	}
	for deb, is := range map[string]struct {
		rpm     string
		machine elf.Machine
	}{
		"kyc-agent_1.0.0-1_amd64.deb": {"kyc-agent-1.0.0-1.x86_64.rpm", elf.EM_X86_64},
		"kyc-agent_1.0.0-1_arm64.deb": {"kyc-agent-1.0.0-1.aarch64.rpm", elf.EM_AARCH64},
	} {
		rpmFile, unpacked := is.rpm, t.TempDir()
		output(dpkg, "--extract", filepath.Join(dist, deb), unpacked)
		for _, name := range []string{"kyc-agentd", "kyc-token"} {
			program, err := elf.Open(filepath.Join(unpacked, "usr/bin", name))
			if err != nil {
				t.Fatal(err)
			}
			if program.Machine != is.machine {
				t.Errorf("%s: %s is for %s", deb, name, program.Machine)
			}
			program.Close()
		}
		inDeb, inRPM := map[string]string{}, map[string]string{}
		for line := range strings.Lines(output(dpkg, "--contents", filepath.Join(dist, deb))) {
			f := strings.Fields(line) // mode, owner/group, size, date, time, name [-> target]
			if f[1] != "root/root" {
				t.Errorf("%s: %s is %s's", deb, f[5], f[1])
			}
			if !strings.HasSuffix(f[5], "/") {
				inDeb[strings.TrimPrefix(f[5], ".")] = strings.Replace(f[0], "l---------", "link", 1) + strings.Join(f[6:], " ")
			}
		}
		for line := range strings.Lines(output(rpm, "-qp", "--qf",
			"[%{FILENAMES} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILEMODES:perms} %{FILELINKTOS}\n]", filepath.Join(dist, rpmFile))) {
			f := strings.Fields(line)
			if f[1] != "root/root" {
				t.Errorf("%s: %s is %s's", rpmFile, f[0], f[1])
			}
			switch f[2][0] {
			case 'l':
				inRPM[f[0]] = "link-> " + f[3]
			case '-':
				inRPM[f[0]] = f[2]
			}
		}
		// Files that only one of the formats has.
		for _, name := range []string{
			"/usr/share/doc/kyc-agent/changelog.Debian.gz", "/usr/share/doc/kyc-agent/copyright", "/usr/share/lintian/overrides/kyc-agent",
		} {
			if inDeb[name] != "-rw-r--r--" {
				t.Errorf("%s: %s is %q", deb, name, inDeb[name])
			}
			delete(inDeb, name)
		}
		for _, name := range []string{
			"/usr/share/licenses/kyc-agent/LICENSE", "/usr/lib/systemd/user-preset/90-kyc-agent.preset",
		} {
			if inRPM[name] != "-rw-r--r--" {
				t.Errorf("%s: %s is %q", rpmFile, name, inRPM[name])
			}
			delete(inRPM, name)
		}
		for _, name := range []string{"/_kyc-agentd", "/_kyc-token"} {
			const ofDebian, ofFedora = "/usr/share/zsh/vendor-completions", "/usr/share/zsh/site-functions"
			if inDeb[ofDebian+name] != "-rw-r--r--" || inRPM[ofFedora+name] != "-rw-r--r--" {
				t.Errorf("zsh's %s is %q and %q", name, inDeb[ofDebian+name], inRPM[ofFedora+name])
			}
			delete(inDeb, ofDebian+name)
			delete(inRPM, ofFedora+name)
		}
		if !maps.Equal(inDeb, inRPM) {
			t.Errorf("%s has\n%v\nand %s has\n%v", deb, inDeb, rpmFile, inRPM)
		}
		for name, mode := range map[string]string{
			"/usr/bin/kyc-agentd": "-rwx--x--x", "/usr/bin/kyc-token": "-rwxr-xr-x", "/usr/bin/git-credential-kyc": "link-> kyc-token",
			"/usr/lib/systemd/user/kyc-agentd.socket": "-rw-r--r--", "/usr/lib/systemd/user/kyc-agentd.service": "-rw-r--r--",
			"/usr/share/doc/kyc-agent/50-namespaces.conf": "-rw-r--r--", "/usr/share/doc/kyc-agent/docs/security.md": "-rw-r--r--",
			"/usr/share/doc/kyc-agent/examples/python/pyproject.toml": "-rw-r--r--", "/usr/share/doc/kyc-agent/examples/python/kyc_auth/__init__.py": "-rw-r--r--",
			"/usr/share/doc/kyc-agent/examples/javascript/package.json": "-rw-r--r--", "/usr/share/doc/kyc-agent/examples/javascript/index.d.ts": "-rw-r--r--",
			"/usr/share/doc/kyc-agent/docs/architecture.svg": "-rw-r--r--", "/usr/share/doc/kyc-agent/docs/recording.svg": "-rw-r--r--",
			"/usr/share/man/man1/kyc-token.1.gz":                "-rw-r--r--",
			"/usr/share/bash-completion/completions/kyc-agentd": "-rw-r--r--",
		} {
			if inDeb[name] != mode {
				t.Errorf("%s: %s is %q, want %q", deb, name, inDeb[name], mode)
			}
		}
	}
}

// testLintian checks the package with lintian. deb/lintian-overrides has the findings that
// are accepted, with reasons.
func testLintian(t *testing.T, deb string) {
	lintian := testpeer.Program(t, "lintian", "lintian")
	cmd := exec.CommandContext(t.Context(), lintian, "--allow-root", "--fail-on=error,warning", deb)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
}

// testPiuparts checks with piuparts that installing, removing and purging the package in a
// copy of a root leaves nothing behind.
func testPiuparts(t *testing.T, deb string) {
	piuparts := testpeer.Program(t, "piuparts", "piuparts")
	root := roots.Path(t, roots.Bookworm)
	sources, err := os.ReadFile(filepath.Join(root, "etc/apt/sources.list"))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(sources)) // deb MIRROR SUITE main
	if len(f) < 4 {
		t.Fatalf("sources.list is %q", sources)
	}
	cmd := exec.CommandContext(t.Context(), piuparts, "--existing-chroot", root, "--distribution", f[2], "--mirror", f[1]+" main",
		"--no-eatmydata", "--no-check-valid-until", "--tmpdir", t.TempDir(), deb)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: All tests.") {
		t.Errorf("piuparts: %v\n%s", err, out)
	}
}

// TestPackageVersion checks that the output of `git describe` becomes versions in the
// right order.
func TestPackageVersion(t *testing.T) {
	script, err := os.ReadFile("release")
	if err != nil {
		t.Fatal(err)
	}
	_, function, found := strings.Cut(string(script), "\npackage_version() {")
	function, _, ended := strings.Cut(function, "\n}\n")
	if !found || !ended {
		t.Fatal("there is no function package_version")
	}
	dpkg := testpeer.Program(t, "dpkg", "dpkg")
	last := ""
	for _, v := range []struct{ described, version string }{ // oldest first
		{"(devel)", "0.0.0+devel"},
		{"98aa0b8", "0.0.0+98aa0b8"}, {"98aa0b8-dirty", "0.0.0+98aa0b8.dirty"},
		{"v1.0.0-rc.1", "1.0.0~rc.1"}, {"v1.0.0-rc.1-3-g98aa0b8", "1.0.0~rc.1+3.g98aa0b8"},
		{"v1.0.0", "1.0.0"}, {"v1.0.0-dirty", "1.0.0+dirty"},
		{"v1.0.1", "1.0.1"}, {"v1.0.1-4-g98aa0b8", "1.0.1+4.g98aa0b8"}, {"v1.0.1-4-g98aa0b8-dirty", "1.0.1+4.g98aa0b8.dirty"},
		{"v1.0.1-10-g0123456", "1.0.1+10.g0123456"},
		{"1.10.0", "1.10.0"},
	} {
		out, err := exec.CommandContext(t.Context(), "bash", "-c",
			"package_version() {"+function+"\n}\npackage_version \"$1\"", "bash", v.described).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != v.version {
			t.Errorf("%s becomes %q, %v; want %q", v.described, got, err, v.version)
		}
		if last != "" && exec.CommandContext(t.Context(), dpkg, "--compare-versions", v.version, "gt", last).Run() != nil &&
			last != "0.0.0+devel" {
			t.Errorf("%s does not sort after %s", v.version, last)
		}
		last = v.version
	}
}
