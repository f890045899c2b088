package testpeer

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// HTTPie returns a folder for HTTPIE_CONFIG_DIR in which HTTPie has the auth plugin of
// examples/python. It is installed with `httpie plugins install`, as a person does it,
// but without the network: Debian's setuptools builds it. Call Cleanup from TestMain.
func HTTPie(t testing.TB) (configDir string) {
	t.Helper()
	program := Program(t, "httpie", "httpie")
	for _, module := range []string{"pip", "setuptools", "wheel"} {
		if exec.Command("/usr/bin/python3", "-c", "import "+module).Run() != nil {
			Missing(t, "Python's "+module, "run: apt-get install python3-"+module)
		}
	}
	return buildOnce(t, "httpie", func(dir string) {
		if err := installPlugin(t, program, dir); err != nil {
			t.Fatal(err)
		}
	})
}

func installPlugin(t testing.TB, program, dir string) error {
	t.Helper()
	source := copyExample(t, "python", dir)
	// Without this HTTPie looks for updates of itself on the network.
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"disable_update_warnings": true}`), 0o600); err != nil {
		return err
	}
	cmd := exec.Command(program, "plugins", "install", source)
	// To pip, 0 means no isolation, and so no download of setuptools.
	cmd.Env = append(os.Environ(), "HTTPIE_CONFIG_DIR="+dir, "PIP_CONFIG_FILE=/dev/null", "PIP_NO_INDEX=1", "PIP_NO_BUILD_ISOLATION=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("httpie plugins install: %v\n%s", err, out)
	}
	return nil
}
