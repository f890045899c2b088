package sink_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/sink"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A touch is something that is done to a token file, its folder or what is above it.
type touch struct {
	name string
	do   func(f *fixture, path string) error
	undo func(f *fixture, path string) error // at the end
	// lost is set if nobody can find the file after a kill.
	lost bool
}

func touches() []touch {
	all := []touch{
		{name: "removed", do: func(_ *fixture, path string) error { return os.Remove(path) }},
		{name: "linked", do: func(f *fixture, path string) error { return os.Link(path, filepath.Join(f.top, "other")) }},
		{name: "linked beside it", do: func(f *fixture, path string) error { return os.Link(path, f.path("other")) }},
		{name: "linked and removed", lost: true, do: func(f *fixture, path string) error {
			return firstError(os.Link(path, filepath.Join(f.top, "other")), os.Remove(path))
		}},
		{name: "moved", lost: true, do: func(f *fixture, path string) error { return os.Rename(path, filepath.Join(f.top, "other")) }},
		{name: "moved, and a symbolic link to it", lost: true, do: func(f *fixture, path string) error {
			return firstError(os.Rename(path, filepath.Join(f.top, "other")), os.Symlink("../other", path))
		}},
		{name: "a symbolic link to nothing", do: func(f *fixture, path string) error {
			return firstError(os.Remove(path), os.Symlink("/dev/null", path))
		}},
		{name: "a folder", do: func(_ *fixture, path string) error { return firstError(os.Remove(path), os.Mkdir(path, 0o700)) }},
		{name: "a FIFO", do: func(_ *fixture, path string) error { return firstError(os.Remove(path), syscall.Mkfifo(path, 0o600)) }},
		{name: "copied over", do: func(f *fixture, path string) error {
			data, err := os.ReadFile(path)
			return firstError(err, os.WriteFile(path+".copy", data, 0o644), os.Rename(path+".copy", path))
		}},
		{name: "truncated", do: func(_ *fixture, path string) error { return os.Truncate(path, 0) }},
		{name: "appended to", lost: true, do: func(_ *fixture, path string) error {
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err == nil {
				defer file.Close()
				_, err = file.WriteString("\nmine\n")
			}
			return err
		}},
		{name: "moved and appended to", lost: true, do: func(f *fixture, path string) error {
			data, err := os.ReadFile(path)
			return firstError(err, os.WriteFile(path, append(data, "\nmine\n"...), 0o600), os.Rename(path, filepath.Join(f.top, "other")))
		}},
		{name: "the folder moved", lost: true, do: func(f *fixture, _ string) error { return os.Rename(f.dir, f.dir+".old") }},
		{name: "the folder replaced", lost: true, do: func(f *fixture, _ string) error {
			return firstError(os.Rename(f.dir, f.dir+".old"), os.Mkdir(f.dir, 0o700))
		}},
		{name: "the folder read-only", do: func(f *fixture, _ string) error { return os.Chmod(f.dir, 0o500) },
			undo: func(f *fixture, _ string) error { return os.Chmod(f.dir, 0o700) }},
		{name: "the folder closed", do: func(f *fixture, _ string) error { return os.Chmod(f.dir, 0) },
			undo: func(f *fixture, _ string) error { return os.Chmod(f.dir, 0o700) }},
		{name: "the folder open", do: func(f *fixture, _ string) error { return os.Chmod(f.dir, 0o777) }},
		{name: "the folder sticky", do: func(f *fixture, _ string) error { return os.Chmod(f.dir, 0o777|fs.ModeSticky) }},
		{name: "the folder above open", do: func(f *fixture, _ string) error { return os.Chmod(f.top, 0o777) },
			undo: func(f *fixture, _ string) error { return os.Chmod(f.top, 0o755) }},
	}
	for _, mode := range []fs.FileMode{0, 0o200, 0o400, 0o440, 0o444, 0o600, 0o640, 0o644, 0o660, 0o666, 0o755, 0o777, 0o600 | fs.ModeSetuid, 0o600 | fs.ModeSticky} {
		all = append(all, touch{name: "mode " + mode.String(), do: func(_ *fixture, path string) error { return os.Chmod(path, mode) }})
	}
	return append(all, rootTouches()...)
}

// TestTouched checks that whatever is done to a token file, its token is renewed or the status
// says why not, and that after a logout, a stop, a reload without it or a kill and the next
// start no file holds a token that the status does not name.
func TestTouched(t *testing.T) {
	testpeer.Slow(t)
	for _, tt := range touches() {
		for end, steps := range map[string]func(f *fixture){
			"logout":  func(f *fixture) { f.logout("prod") },
			"reload":  func(f *fixture) { f.configure() },
			"stop":    func(f *fixture) { f.m.Close(f.Context()) },
			"renewal": func(f *fixture) { f.wantRenewed(); f.logout("prod") },
			"login":   func(f *fixture) { f.login("prod"); f.logout("prod") },
			"expiry": func(f *fixture) {
				f.p.EndAll()
				time.Sleep(2 * time.Hour)
				synctest.Wait()
			},
			"kill": func(f *fixture) {
				f.killed()
				_ = f.a.Logout(f.Context(), agent.LogoutRequest{Environment: "prod"})
				f.configure(f.prod())
			},
			"kill, and then not configured": func(f *fixture) {
				f.killed()
				f.configure()
			},
			"kill, and renewal": func(f *fixture) {
				f.killed()
				f.configure(f.prod())
				f.wantRenewed()
				f.logout("prod")
			},
		} {
			if tt.lost && strings.HasPrefix(end, "kill") {
				continue
			}
			t.Run(tt.name+"/"+end, func(t *testing.T) {
				inBubble(t, func(f *fixture) {
					f.login("prod")
					f.configure(f.prod())
					path := f.path("prod.jwt")
					f.wantFile("prod.jwt", f.token("prod"), 0o600)
					tokens := []string{f.token("prod")}
					if err := tt.do(f, path); err != nil {
						f.Fatal(err)
					}
					left := func() []agent.SinkStatus { return f.m.Status() }
					steps(f)
					f.wantNoToken(tokens, left())
					if tt.undo != nil {
						if err := tt.undo(f, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
							f.Fatal(err)
						}
					}
					f.wantNoToken(tokens, left())
				})
			})
		}
	}
}

// wantRenewed waits for the next update.
func (f *fixture) wantRenewed() {
	f.Helper()
	time.Sleep(time.Minute + time.Second)
	synctest.Wait()
	st := f.status("prod.jwt")
	var data []byte
	info, err := os.Lstat(st.Path)
	if err == nil && info.Mode().IsRegular() { // a FIFO would block
		data, err = os.ReadFile(st.Path)
	}
	if (err != nil || string(data) != f.token("prod")) && st.Error == "" {
		f.Errorf("it holds %q (%v), and the status says nothing: %+v", data, err, st)
	}
	if info, err := os.Stat(st.Path); err == nil && st.Error == "" && info.Mode() != 0o600 {
		f.Errorf("the mode is %s: %+v", info.Mode(), st)
	}
}

// wantNoToken checks that no file holds a token, except one that the status or, after a stop,
// the log names.
func (f *fixture) wantNoToken(tokens []string, status []agent.SinkStatus) {
	f.Helper()
	var named strings.Builder
	for _, st := range status {
		for _, line := range st.Left {
			named.WriteString(line + "\n")
			if !strings.HasSuffix(line, "; remove it") && !strings.HasSuffix(line, ", or name another path") {
				f.Errorf("%q says nothing to do", line)
			}
		}
	}
	if len(status) == 0 {
		named.WriteString(f.log.String())
	}
	err := filepath.WalkDir(f.top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, token := range tokens {
			if strings.Contains(string(data), token) && !isNamed(path, named.String()) {
				f.Errorf("%s holds %q, and that is not named: %q\nstatus %+v\n%s", path, data, named.String(), status, f.log.String())
			}
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		f.Error(err)
	}
}

// isNamed reports whether lines name the file at path, if only by one of its names.
func isNamed(path, lines string) bool {
	info, err := os.Stat(path)
	return err == nil && slices.ContainsFunc(strings.FieldsFunc(lines, func(r rune) bool { return strings.ContainsRune(" \n\"", r) }), func(word string) bool {
		other, err := os.Stat(word)
		return err == nil && os.SameFile(info, other)
	})
}

// TestForeign checks that nothing which the agent did not write is replaced or removed, however
// much it looks like a token file.
func TestForeign(t *testing.T) {
	file := func(text string, mode fs.FileMode) func(path string) error {
		return func(path string) error {
			return firstError(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode))
		}
	}
	link := func(target string) func(path string) error {
		return func(path string) error { return os.Symlink(target, path) }
	}
	for name, tt := range map[string]struct {
		put  func(path string) error
		want string
	}{
		"an API key":            {file("sk_live_mine", 0o600), "token files; remove it"},
		"a read-only API key":   {file("sk_live_mine", 0o400), "token files; remove it"},
		"another pool's token":  {file("eyJother", 0o600), "token files; remove it"},
		"a token and more":      {file("eyJold and my notes", 0o600), "token files; remove it"},
		"more and a token":      {file("my notes: eyJold", 0o600), "token files; remove it"},
		"a file for all":        {file("dear diary", 0o644), "token files (mode -rw-r--r--); remove it"},
		"an empty file":         {file("", 0o600), "token files; remove it"},
		"a link to a file":      {link("target"), "token files (a symbolic link to target); remove it"},
		"a link to nothing":     {link("nowhere"), "token files (a symbolic link to nowhere); remove it"},
		"a link to a device":    {link("/dev/null"), "token files (a symbolic link to /dev/null); remove it"},
		"a link to stdout":      {link("/proc/self/fd/1"), "token files (a symbolic link to /proc/self/fd/1); remove it"},
		"a link with an escape": {link("x\x1b[2J"), `token files (a symbolic link to "x\x1b[2J"); remove it`},
		"a FIFO":                {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "token files (mode prw-------); remove it"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(f *fixture) {
				path := f.path("prod.jwt")
				if err := firstError(os.Mkdir(f.dir, 0o700), os.WriteFile(f.path("target"), []byte("mine"), 0o600), tt.put(path)); err != nil {
					f.Fatal(err)
				}
				before := picture(path)
				f.configure(f.prod())
				f.login("prod")
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if st := f.status("prod.jwt"); !strings.Contains(st.Error, tt.want) || !st.WrittenAt.IsZero() {
					f.Errorf("status %+v, want %q", st, tt.want)
				}
				f.logout("prod")
				f.configure()
				f.configure(f.prod())
				f.killed()
				f.configure()
				f.configure(f.prod())
				f.m.Close(f.Context())
				if after := picture(path); after != before {
					f.Errorf("it has become %s; it was %s", after, before)
				}
				if data, err := os.ReadFile(f.path("target")); string(data) != "mine" {
					f.Errorf("the target has become %q, %v", data, err)
				}
			})
		})
	}
}

// picture describes what is at path.
func picture(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return err.Error()
	}
	target, _ := os.Readlink(path)
	text := ""
	if info.Mode().IsRegular() {
		data, _ := os.ReadFile(path)
		text = string(data)
	}
	return info.Mode().String() + " " + target + " " + text
}

// TestForeignAfterAKill checks that a file which took the place of one that a killed agent left is
// not taken for it.
func TestForeignAfterAKill(t *testing.T) {
	for _, configured := range []bool{true, false} {
		inBubble(t, func(f *fixture) {
			f.login("prod")
			f.configure(f.prod())
			f.killed()
			if err := os.WriteFile(f.path("prod.jwt"), []byte("sk_mine"), 0o600); err != nil { // the same file
				f.Fatal(err)
			}
			if configured {
				f.configure(f.prod())
			}
			f.configure()
			f.m.Close(f.Context())
			if data, err := os.ReadFile(f.path("prod.jwt")); string(data) != "sk_mine" {
				f.Errorf("it has become %q, %v", data, err)
			}
		})
	}
}

// TestNotes checks that the notes hold no secret, are private, and go with the file.
func TestNotes(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.login("prod")
		f.configure(f.prod())
		notes, _ := filepath.Glob(filepath.Join(f.state, "token-files", "*"))
		if len(notes) != 1 {
			f.Fatalf("%q", notes)
		}
		data, err := os.ReadFile(notes[0])
		if err != nil || !strings.Contains(string(data), f.path("prod.jwt")) || strings.Contains(string(data), f.token("prod")) {
			f.Errorf("%s %v", data, err)
		}
		for path, mode := range map[string]fs.FileMode{notes[0]: 0o600, filepath.Dir(notes[0]): 0o700 | fs.ModeDir, f.state: 0o700 | fs.ModeDir} {
			if info, err := os.Lstat(path); err != nil || info.Mode() != mode {
				f.Errorf("%s: %v %v", path, info, err)
			}
		}
		f.logout("prod")
		if notes, _ := filepath.Glob(filepath.Join(f.state, "*")); len(notes) != 0 {
			f.Errorf("%q are left", notes)
		}
	})
}

// TestFolderGoesWithItsFiles checks that a folder which was made for token files goes with the last
// of them, also after a kill, and that somebody's folder stays.
func TestFolderGoesWithItsFiles(t *testing.T) {
	for _, ends := range []string{"reload", "stop", "kill", "mine", "not empty"} {
		inBubble(t, func(f *fixture) {
			if ends == "mine" {
				if err := os.Mkdir(f.dir, 0o700); err != nil {
					f.Fatal(err)
				}
			}
			f.login("prod")
			f.login("staging")
			staging := sink.Sink{Environment: "staging", Format: "token", Path: f.path("staging.jwt"), Mode: 0o600}
			f.configure(f.prod())
			f.configure(f.prod(), staging)
			f.logout("prod")
			if _, err := os.Lstat(f.dir); err != nil {
				f.Error(err) // a container may have mounted it
			}
			switch ends {
			case "stop":
				f.m.Close(f.Context())
			case "kill":
				f.killed()
				f.configure()
			case "not empty":
				if err := os.WriteFile(f.path("mine"), nil, 0o600); err != nil {
					f.Fatal(err)
				}
				f.configure()
			default:
				f.configure(staging)
				f.configure()
			}
			_, err := os.Lstat(f.dir)
			if stays := ends == "mine" || ends == "not empty"; stays != (err == nil) {
				f.Errorf("%s: the folder: %v", ends, err)
			}
		})
	}
}

// TestFolders checks which folders a token file may be in, and what is advised where it may not.
func TestFolders(t *testing.T) {
	for _, tt := range []struct {
		name string
		prev func(f *fixture) error
		path string // from top, or absolute
		want string // "" is written
	}{
		{"one above is open", func(f *fixture) error { return mkdirs(f, "a", 0o777, "a/b", 0o700) }, "a/b/x.jwt", "/a can be written by others (mode 0777); run: chmod go-w "},
		{"one above is the group's", func(f *fixture) error { return mkdirs(f, "a", 0o770, "a/b", 0o700) }, "a/b/x.jwt", "/a can be written by others (mode 0770); run: chmod go-w "},
		{"one above is sticky", func(f *fixture) error { return mkdirs(f, "a", 0o777|fs.ModeSticky, "a/b", 0o700) }, "a/b/x.jwt", ""},
		{"one in a sticky one is made", func(f *fixture) error { return mkdirs(f, "a", 0o777|fs.ModeSticky) }, "a/b/x.jwt", ""},
		{"none is made in an open one", func(f *fixture) error { return mkdirs(f, "a", 0o777) }, "a/b/x.jwt", "/a can be written by others"},
		{"sticky itself", func(f *fixture) error { return mkdirs(f, "a", 0o777|fs.ModeSticky) }, "a/x.jwt", "/a can be written by others (mode 1777); name a path in a folder that you own, such as ~/x.jwt"},
		{"a link", func(f *fixture) error {
			return firstError(mkdirs(f, "a", 0o700), os.Symlink("a", filepath.Join(f.top, "l")))
		}, "l/x.jwt", ""},
		{"an absolute link above", func(f *fixture) error {
			return firstError(mkdirs(f, "a", 0o700, "a/b", 0o700), os.Symlink(filepath.Join(f.top, "a"), filepath.Join(f.top, "l")))
		}, "l/b/x.jwt", ""},
		{"a link into an open one", func(f *fixture) error {
			return firstError(mkdirs(f, "a", 0o777, "a/b", 0o700), os.Symlink("a/../a/b", filepath.Join(f.top, "l")))
		}, "l/x.jwt", "/a can be written by others"},
		{"a link in a circle", func(f *fixture) error { return os.Symlink("l", filepath.Join(f.top, "l")) }, "l/x.jwt", "too many levels of symbolic links"},
		{"two are missing", func(*fixture) error { return nil }, "a/b/x.jwt", "/a, or name another path"},
		{"one of root's", func(*fixture) error { return nil }, "/tmp/kyc-agent-test.jwt", "such as ~/kyc-agent-test.jwt"},
		{"no files in it", func(*fixture) error { return nil }, "/proc/kyc-agent-test.jwt", "such as ~/kyc-agent-test.jwt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(f *fixture) {
				if err := tt.prev(f); err != nil {
					f.Fatal(err)
				}
				f.login("prod")
				s := f.prod()
				if s.Path = tt.path; !filepath.IsAbs(s.Path) {
					s.Path = filepath.Join(f.top, tt.path)
				}
				f.configure(s)
				st := f.m.Status()[0]
				if tt.want == "" {
					if data, err := os.ReadFile(s.Path); err != nil || string(data) != f.token("prod") || st.Error != "" {
						f.Errorf("%q %v, status %+v", data, err, st)
					}
					return
				}
				if _, err := os.Lstat(s.Path); err == nil || !strings.Contains(st.Error, tt.want) {
					f.Errorf("%v, status %+v, want %q", err, st, tt.want)
				}
				if strings.Contains(tt.want, "such as") && strings.Contains(st.Error, "chmod") || strings.Contains(st.Error, "the folder /,") {
					f.Errorf("bad advice: %s", st.Error)
				}
			})
		})
	}
}

// mkdirs makes folders in top: name, mode, name, mode…
func mkdirs(f *fixture, args ...any) error {
	for i := 0; i < len(args); i += 2 {
		path, mode := filepath.Join(f.top, args[i].(string)), args[i+1]
		perm, ok := mode.(fs.FileMode)
		if !ok {
			perm = fs.FileMode(mode.(int))
		}
		if err := firstError(os.Mkdir(path, 0o700), os.Chmod(path, perm)); err != nil {
			return err
		}
	}
	return nil
}

// TestSettleDuringARefresh checks that a logout does not wait for the refresh that a token file waits
// for.
func TestSettleDuringARefresh(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.waitsAtTheEnd()
		synctest.Wait()
		began := time.Now()
		if err := f.a.Logout(f.Context(), agent.LogoutRequest{Environment: "prod", Scope: agent.LogoutLocal}); err != nil {
			f.Fatal(err)
		}
		f.m.Settle(f.Context(), "prod")
		if took := time.Since(began); took > time.Second {
			f.Errorf("it took %s", took)
		}
		f.wantNone("prod.jwt", notSignedIn)
	})
}
