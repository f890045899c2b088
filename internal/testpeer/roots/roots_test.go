package roots_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/roots"
)

func TestPath(t *testing.T) {
	testpeer.Long(t)
	for suite, release := range map[roots.Suite]string{roots.Bookworm: "12.", roots.Trixie: "13."} {
		t.Run(string(suite), func(t *testing.T) {
			t.Parallel()
			root := roots.Path(t, suite)
			if got, err := os.ReadFile(root + "/etc/debian_version"); err != nil || !strings.HasPrefix(string(got), release) {
				t.Errorf("debian_version is %q, %v; want %s…", got, err, release)
			}
			out, err := exec.CommandContext(t.Context(), "chroot", root, "id", "-u", roots.User).CombinedOutput()
			if err != nil || string(out) != "1000\n" {
				t.Errorf("id -u %s: %s%v", roots.User, out, err)
			}
			if again := roots.Path(t, suite); again != root {
				t.Errorf("a second call gives %s, the first gave %s", again, root)
			}
		})
	}
}
