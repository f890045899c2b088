package packaging_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/packaging/usermanager"
)

// TestContainers runs the lines of docs/integrations.md for containers with the real tools,
// as an ordinary user with a service, and with somebody else's code in the container:
// testdata/hostile.
func TestContainers(t *testing.T) {
	usermanager.Run(t, func() usermanager.Machine { return containerMachine(t) }, func(t *testing.T) {
		s := newService(t)
		s.configure("forward_environments = ['staging']\n[[sinks]]\nenvironment = 'staging'\n")
		for _, env := range []string{"staging", "prod"} {
			s.mustWith("correct horse\n", "kyc-agentd", "login", "-u", "ana", "--password-stdin", env)
		}
		t.Run("bubblewrap", func(t *testing.T) {
			bwrap := recipe(t, "bwrap ", "kyc-token", testpeer.Program(t, "bwrap", "bubblewrap"))
			testRecipe(&service{t, s.cognito}, func(command string) string {
				line, _, _ := strings.Cut(bwrap, "/run/kyc-token -f curl")
				return "CONTAINER=$HOME/container; " + line + command
			}, "/run/kyc-token staging", "/hostile /run/kyc-agentd")
		})
		for user, words := range map[string]string{"docker": "", "rootless docker": `--user "$(id -u)"`} {
			t.Run(user, func(t *testing.T) {
				bwrap := testpeer.Program(t, "bwrap", "bubblewrap")
				docker := strings.Replace(recipe(t, "docker ", "kyc-token", "docker"), words, "", 1)
				testRecipe(&service{t, s.cognito}, func(command string) string {
					line, _, _ := strings.Cut(docker, "IMAGE")
					return fmt.Sprintf(dockerByBubblewrap, bwrap) + line + "IMAGE " + command
				}, "kyc-token staging", "/hostile /run/kyc-agentd")
			})
		}
		t.Run("podman", func(t *testing.T) {
			podman := recipe(t, "podman ", "kyc-token", testpeer.Program(t, "podman", "podman"))
			testpeer.Program(t, "newuidmap", "uidmap")
			testRecipe(&service{t, s.cognito}, func(command string) string {
				line, _, _ := strings.Cut(podman, "IMAGE")
				// Nothing is pulled, and there is no system bus here to ask for a cgroup.
				return line + "--network=none --cgroups=disabled --rootfs $HOME/container " + command
			}, "kyc-token staging", "/hostile /run/kyc-agentd")
		})
		testSocketInContainers(t, s)
		s.expectToken()
		for _, env := range []string{"staging", "prod"} {
			if got := s.run("", "kyc-token", env); got.exit != 0 {
				t.Errorf("the sign-in of %s is gone: %+v", env, got)
			}
		}
	})
}

// testSocketInContainers runs the document's lines for a container with a socket for the API
// alone, [[sockets]] with the name ai.
func testSocketInContainers(t *testing.T, s *service) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer eyJ") {
			w.WriteHeader(http.StatusUnauthorized)
		}
		fmt.Fprintf(w, "%s %s\n", r.Method, r.URL.Path)
	}))
	t.Cleanup(api.Close)
	s.dropIn(serviceName, "[Service]\nEnvironment=KYC_STAGING_API_URL="+api.URL+" KYC_PROD_API_URL="+api.URL+"\n")
	s.configure(`[[sockets]]
name = "ai"
environments = ["staging"]
allow = ["api"]
methods = ["GET", "POST"]
paths = ["/kyc", "/kyc/watchlists/*"]

[[sockets]]
name = "other"
environments = ["prod"]
allow = ["token"]
`)
	s.systemctl("restart", serviceName)
	const call, hostile = "/usr/bin/kyc-agentd api --socket /run/kyc-agentd/agent.sock staging GET /kyc", "/hostile /run/kyc-agentd api"
	run := func(t *testing.T, command, want string) {
		t.Helper()
		got := s.run("", "bash", "-c", command)
		t.Logf("%s", got.out)
		if got.exit != 0 || !strings.HasPrefix(got.out, want) {
			t.Errorf("%+v", got)
		}
	}
	t.Run("the socket ai in bubblewrap", func(t *testing.T) {
		bwrap := recipe(t, "bwrap ", "sockets/ai", testpeer.Program(t, "bwrap", "bubblewrap"))
		testpeer.Program(t, "curl", "curl")
		run(t, "CONTAINER=/; "+bwrap, "POST /kyc\n") // as it stands in the document
		line, _, _ := strings.Cut(bwrap, "curl -fsS")
		run(t, "CONTAINER=$HOME/container; "+line+call, "GET /kyc\n")
		run(t, "CONTAINER=$HOME/container; "+line+hostile, "0 of ")
	})
	t.Run("the socket ai in podman", func(t *testing.T) {
		podman := recipe(t, "podman ", "sockets/ai", testpeer.Program(t, "podman", "podman"))
		testpeer.Program(t, "newuidmap", "uidmap")
		line, _, _ := strings.Cut(podman, "IMAGE")
		line += "--network=none --cgroups=disabled --rootfs $HOME/container "
		run(t, line+call, "GET /kyc\n")
		run(t, line+hostile, "0 of ")
	})
}

// dockerByBubblewrap is a shell function with the flags of docker run that the document has.
// It maps user ids as docker does: without root and without --user, root inside is the user.
const dockerByBubblewrap = `docker() {
  local args=(--unshare-all --share-net --ro-bind "$HOME/container" / --dev /dev --proc /proc --tmpfs /run) user=0 kind from to mode
  shift
  while [ "$1" != IMAGE ]; do
    case $1 in
    --user) user=$2 ;;
    --env) args+=(--setenv "${2%%%%=*}" "${2#*=}") ;;
    --mount)
      IFS=, read -r kind from to mode <<<"$2"
      [ "$kind $mode" = "type=bind readonly" ] && args+=(--ro-bind "${from#src=}" "${to#dst=}") || return 99
      ;;
    *) return 99 ;;
    esac
    shift 2
  done
  shift
  %s "${args[@]}" --uid "$user" "$@"
}
`

// testRecipe runs what run returns for a command in a container: kyc-token, and the hostile
// program.
func testRecipe(s *service, run func(command string) string, kycToken, hostile string) {
	s.t.Helper()
	got := s.run("", "bash", "-c", run(kycToken))
	if got.exit != 0 || !strings.HasPrefix(got.out, "eyJ") || strings.Count(got.out, "\n") != 1 {
		s.t.Fatalf("kyc-token in the container: %+v", got)
	}
	got = s.run("", "bash", "-c", run(hostile))
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	s.t.Logf("the hostile container could do %s", lines[len(lines)-1])
	if got.exit != 0 || !strings.HasPrefix(got.out, "0 of ") {
		s.t.Errorf("the hostile container: %+v", got)
	}
	s.expectToken()
}

// recipe returns the line of the document that begins with start and has a word, with what
// follows it after a backslash. It runs program, which start names.
func recipe(t *testing.T, start, word, program string) string {
	t.Helper()
	text, err := os.ReadFile(atHome("integrations.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.NewReplacer("\n$ ", "\n", "\\\n", " ").Replace(string(text))
	for line := range strings.Lines(all) {
		if rest, found := strings.CutPrefix(line, start); found && strings.Contains(line, word) {
			return program + " " + strings.TrimSuffix(rest, "\n")
		}
	}
	t.Fatalf("the document has no line that begins with %s and has %s", start, word)
	return ""
}

// containerMachine is a machine with the product, the document, and the file system of a
// container: $HOME/container.
func containerMachine(t *testing.T) usermanager.Machine {
	m := newInstalled(t, "")
	text, err := os.ReadFile(documentWithRecipes())
	if err == nil {
		err = os.WriteFile(filepath.Join(m.Home, "integrations.md"), text, 0o600)
	}
	root := filepath.Join(m.Home, "container")
	for _, dir := range []string{"dev", "proc", "sys", "run", "tmp", "etc", "usr/bin"} {
		if err == nil {
			err = os.MkdirAll(filepath.Join(root, dir), 0o755)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	// Where kyc-token is mounted: an engine that may not write to the root cannot make it.
	if err := testpeer.WriteProgram(filepath.Join(root, "usr/bin/kyc-token"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(testpeer.Build(t, "kyc-agentd"))
	if err == nil {
		err = testpeer.WriteProgram(filepath.Join(root, "usr/bin/kyc-agentd"), binary, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(root, "hostile"), ".")
	build.Dir, build.Env = filepath.Join("testdata", "hostile"), append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return m
}

// documentWithRecipes is the document; KYC_TEST_RECIPES names an older one, to see what its
// lines allowed.
func documentWithRecipes() string {
	if path := os.Getenv("KYC_TEST_RECIPES"); path != "" {
		return path
	}
	return filepath.Join(testpeer.ModuleRoot(), "docs", "integrations.md")
}

// TestMappedUserIDs runs both clients with the user ids that rootless docker and podman map:
// the user who starts the container is root inside, and what has that user's id inside is
// nobody outside.
func TestMappedUserIDs(t *testing.T) {
	testpeer.Root(t)
	const owner = 12345
	dir, err := os.MkdirTemp("", "kyc-mapped-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, name := range []string{"kyc-token", "kyc-agentd"} {
		if out, err := exec.Command("install", "-m", "755", testpeer.Build(t, name), filepath.Join(dir, name)).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	runtime := filepath.Join(dir, "run")
	err = os.Mkdir(runtime, 0o700)
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.Chown(runtime, owner, owner))
	}
	if err != nil {
		t.Fatal(err)
	}
	serveAs(t, owner, dir, runtime)
	in := func(uid uint32, args ...string) outcome {
		cmd := exec.Command(filepath.Join(dir, args[0]), args[1:]...)
		cmd.Env = []string{"XDG_RUNTIME_DIR=" + runtime, "HOME=" + dir}
		maps := []syscall.SysProcIDMap{{ContainerID: 0, HostID: owner, Size: 1}, {ContainerID: 1, HostID: 100001, Size: 65535}}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER, UidMappings: maps, GidMappings: maps,
			Credential: &syscall.Credential{Uid: uid, Gid: uid, NoSetGroups: true},
		}
		var out, errOut strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errOut
		if err := cmd.Run(); cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return outcome{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
	}
	const hint = "; this container's user ids are mapped; rootless docker: leave --user out, root inside is you; podman: add --userns=keep-id\n"
	check := func(name string, uid uint32, exit int, words string) {
		t.Helper()
		for _, args := range [][]string{{"kyc-token", "staging"}, {"kyc-agentd", "logout", "staging"}} {
			if got := in(uid, args...); got.exit != exit || !strings.HasSuffix(got.err, words) || strings.Count(got.err, "\n") != 1 {
				t.Errorf("%s, uid %d: %s: %+v", name, uid, args[0], got)
			}
		}
	}
	check("closed folder", owner, 77, hint)
	if got := in(0, "kyc-token", "staging"); got.exit != 77 || !strings.Contains(got.err, "not signed in") {
		t.Errorf("root inside: %+v", got)
	}
	folder := filepath.Join(runtime, "kyc-agentd")
	if err := errors.Join(os.Chmod(runtime, 0o755), os.Chmod(folder, 0o755), os.Chmod(filepath.Join(folder, "agent.sock"), 0o666)); err != nil {
		t.Fatal(err)
	}
	check("open folder", owner, 77, hint)
}

// serveAs runs an agent of the user until the test ends.
func serveAs(t *testing.T, uid uint32, dir, runtime string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, "kyc-agentd"), "serve", "--store", "memory")
	cmd.Env = []string{"XDG_RUNTIME_DIR=" + runtime, "HOME=" + runtime}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	runUntilReady(t, cmd)
}
