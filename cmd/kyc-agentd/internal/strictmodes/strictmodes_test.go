package strictmodes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

const somebody = 12345

// A home is a folder with conf/config.toml and other/config.toml in it.
type home struct {
	t   *testing.T
	dir string
}

func newHome(t *testing.T) home {
	h := home{t, t.TempDir()}
	for _, name := range []string{"conf", "other"} {
		h.must(os.Mkdir(h.path(name), 0o700))
		h.must(os.WriteFile(h.path(name+"/config.toml"), nil, 0o600))
	}
	return h
}

func (h home) path(name string) string { return filepath.Join(h.dir, name) }

func (h home) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h home) chmod(name string, mode uint32) {
	h.t.Helper()
	h.must(syscall.Chmod(h.path(name), mode))
}

// chown gives name, and no file that it links to, to somebody else.
func (h home) chown(name string) {
	h.t.Helper()
	testpeer.Root(h.t)
	h.must(os.Lchown(h.path(name), somebody, -1))
}

// link makes conf/config.toml, or conf, a link to what has the same name in other.
func (h home) link(name, target string) {
	h.t.Helper()
	h.must(os.RemoveAll(h.path(name)))
	h.must(os.Symlink(target, h.path(name)))
}

// users replaces /etc. The user is called ana.
func (h home) users(passwd, group, nsswitch string) {
	old := etc
	etc = h.t.TempDir()
	h.t.Cleanup(func() { etc = old })
	me, mine := strconv.Itoa(os.Getuid()), strconv.Itoa(os.Getgid())
	for name, text := range map[string]string{"passwd": passwd, "group": group, "nsswitch.conf": nsswitch} {
		text = strings.NewReplacer("UID", me, "GID", mine).Replace(text)
		h.must(os.WriteFile(filepath.Join(etc, name), []byte(text), 0o600))
	}
}

// alone has ana in a private group.
func (h home) alone() {
	h.users("root:x:0:0::/root:/bin/sh\nana:x:UID:GID::/home/ana:/bin/sh\nbob:x:54321:54321::/:/bin/sh\n",
		"root:x:0:\nana:x:GID:ana\nbob:x:54321:\n", "passwd: files sss\ngroup: files sss\n")
}

var situations = []struct {
	name    string
	arrange func(home)
	want    string // of the error, with HOME for the home; "" is none
}{
	{"as it should be", func(home) {}, ""},
	{"readable by everybody", func(h home) { h.chmod("conf/config.toml", 0o644); h.chmod("conf", 0o755) }, ""},
	{"a file for everybody", func(h home) { h.chmod("conf/config.toml", 0o666) },
		"HOME/conf/config.toml can be written by others (mode 0666); run: chmod go-w HOME/conf/config.toml"},
	{"a folder for everybody", func(h home) { h.chmod("conf", 0o777) },
		"HOME/conf/config.toml can be replaced by others: they can write to HOME/conf (mode 0777); run: chmod go-w HOME/conf"},
	{"a folder further up", func(h home) { h.chmod("", 0o757) },
		"HOME/conf/config.toml can be replaced by others: they can write to HOME (mode 0757); run: chmod go-w HOME"},
	{"a folder as /tmp is", func(h home) { h.chmod("conf", 0o1777) }, ""},
	{"a file in such a folder", func(h home) { h.chmod("conf", 0o1777); h.chmod("conf/config.toml", 0o602) }, "run: chmod go-w HOME/conf/config.toml"},
	{"somebody else's file", func(h home) { h.chown("conf/config.toml") },
		fmt.Sprintf("HOME/conf/config.toml belongs to uid 12345; read it, then run: sudo chown %d HOME/conf/config.toml", os.Getuid())},
	{"somebody else's folder", func(h home) { h.chown("conf") },
		"HOME/conf belongs to uid 12345, who can replace HOME/conf/config.toml; keep that file in a folder that you own"},
	{"somebody else's sticky folder", func(h home) { h.chown("conf"); h.chmod("conf", 0o1777) }, "HOME/conf belongs to uid 12345"},

	{"a link", func(h home) { h.link("conf/config.toml", "../other/config.toml") }, ""},
	{"an absolute link", func(h home) { h.link("conf/config.toml", h.path("other/config.toml")) }, ""},
	{"a link to a file for everybody", func(h home) { h.link("conf/config.toml", "../other/config.toml"); h.chmod("other/config.toml", 0o666) },
		"HOME/conf/config.toml can be written by others (mode 0666)"},
	{"a link into a folder for everybody", func(h home) { h.link("conf/config.toml", "../other/config.toml"); h.chmod("other", 0o777) },
		"they can write to HOME/other (mode 0777); run: chmod go-w HOME/other"},
	{"a link in a folder for everybody", func(h home) { h.link("conf/config.toml", "../other/config.toml"); h.chmod("conf", 0o777) },
		"they can write to HOME/conf (mode 0777); run: chmod go-w HOME/conf"},
	{"a folder that is a link to one for everybody", func(h home) { h.link("conf", "other"); h.chmod("other", 0o777) }, "they can write to HOME/other"},
	{"somebody else's link", func(h home) {
		h.link("conf/config.toml", "../other/config.toml")
		h.chown("conf/config.toml")
		h.chmod("conf", 0o1777)
	}, "HOME/conf/config.toml belongs to uid 12345, who can replace HOME/conf/config.toml"},
	{"a link to somebody else's file", func(h home) { h.link("conf/config.toml", "../other/config.toml"); h.chown("other/config.toml") },
		"HOME/conf/config.toml belongs to uid 12345"},
	{"a link to somebody else's folder", func(h home) { h.link("conf/config.toml", "../other/config.toml"); h.chown("other") }, "HOME/other belongs to uid 12345"},

	{"a private group, as of umask 002", func(h home) { h.alone(); h.chmod("conf/config.toml", 0o664); h.chmod("conf", 0o775) }, ""},
	{"a private group, and the rest", func(h home) { h.alone(); h.chmod("conf/config.toml", 0o666) }, "(mode 0666)"},
	{"another group", func(h home) {
		testpeer.Root(h.t)
		h.alone()
		h.must(os.Chown(h.path("conf/config.toml"), -1, 54321))
		h.chmod("conf/config.toml", 0o660)
	}, "HOME/conf/config.toml can be written by others (mode 0660); run: chmod go-w HOME/conf/config.toml"},
	{"a group with a member", func(h home) {
		h.users("ana:x:UID:GID::/:/bin/sh\n", "ana:x:GID:ana,bob\n", "")
		h.chmod("conf/config.toml", 0o664)
	}, "(mode 0664)"},
	{"another user's primary group, too", func(h home) {
		h.users("ana:x:UID:GID::/:/bin/sh\nbob:x:54321:GID::/:/bin/sh\n", "users:x:GID:\n", "")
		h.chmod("conf", 0o770)
	}, "they can write to HOME/conf (mode 0770)"},
	{"users of a directory", func(h home) {
		h.users("root:x:0:99::/:/bin/sh\n", "root:x:99:\n", "passwd: files sss # and LDAP\ngroup: files\n")
		h.chmod("conf/config.toml", 0o664)
	}, "(mode 0664)"},
	{"a container without users", func(h home) {
		h.must(os.Chmod(h.path("conf/config.toml"), 0o664))
		h.users("", "", "")
	}, ""},
}

func TestOpen(t *testing.T) {
	for _, tt := range situations {
		t.Run(tt.name, func(t *testing.T) {
			h := newHome(t)
			tt.arrange(h)
			h.wants(tt.want)
		})
	}
}

// wants opens conf/config.toml and compares the error.
func (h home) wants(want string) {
	h.t.Helper()
	f, err := Open(h.path("conf/config.toml"))
	if err == nil {
		_ = f.Close()
	}
	want = strings.ReplaceAll(want, "HOME", h.dir)
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		h.t.Errorf("got  %v\nwant %s", err, want)
	}
}

// What the messages say to run is enough, and nothing else is necessary.
func TestAdvice(t *testing.T) {
	for _, name := range []string{"", "conf", "conf/config.toml"} {
		h := home{t, filepath.Join(t.TempDir(), "it's ana's")}
		h.must(os.MkdirAll(h.path("conf"), 0o700))
		h.must(os.WriteFile(h.path("conf/config.toml"), nil, 0o600))
		h.chmod(name, 0o777)
		_, err := Open(h.path("conf/config.toml"))
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		_, command, _ := strings.Cut(err.Error(), "; run: ")
		if out, err := exec.Command("/bin/sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
		h.wants("")
	}
}

func TestOpenOfWhatIsNoFile(t *testing.T) {
	h := newHome(t)
	h.must(os.Remove(h.path("conf/config.toml")))
	if _, err := Open(h.path("conf/config.toml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	h.must(syscall.Mkfifo(h.path("conf/config.toml"), 0o600))
	h.wants("not a regular file")
	h.link("conf/config.toml", "config.toml")
	h.wants("too many levels of symbolic links")
}
