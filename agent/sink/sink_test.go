package sink_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/agent/sink"
	"github.com/legaltalent/kyc-agent/internal/testlog"
)

// A fixture is an agent and a Manager of token files in a synctest bubble.
type fixture struct {
	*testing.T
	p     *agenttest.Authenticator
	a     *agent.Agent
	m     *sink.Manager
	top   string // holds dir and state
	dir   string
	state string
	log   testlog.Buffer // goroutines of the Manager write, and the test reads
}

func inBubble(t *testing.T, body func(f *fixture)) {
	t.Helper()
	top := t.TempDir()
	if err := os.Chmod(top, 0o755); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{T: t, p: agenttest.NewAuthenticator(), top: top, dir: filepath.Join(top, "sinks"), state: filepath.Join(top, "state")}
		f.m = f.newManager()
		f.a = agenttest.NewAgent(t, f.p, func(o *agent.Options) { o.OnChange = func(env string) { f.m.OnChange(env) } })
		defer func() { f.m.Close(context.Background()) }()
		body(f)
	})
}

func (f *fixture) newManager() *sink.Manager {
	return sink.New(sink.Options{
		Token:  func(ctx context.Context, req agent.TokenRequest) (agent.Token, error) { return f.a.Token(ctx, req) },
		Render: render,
		Issued: func(env, token string) bool { return env == "prod" && token == "eyJold" },
		State:  f.state,
		Logger: slog.New(slog.NewTextHandler(&f.log, nil)),
	})
}

// killed replaces the Manager by a new one, as if the agent had been killed.
func (f *fixture) killed() {
	synctest.Wait()
	f.m.Kill()
	f.m = f.newManager()
}

// render ends every format with a newline, as the agent does.
func render(format string, t agent.Token, now time.Time) ([]byte, error) {
	text := t.IDToken.Reveal()
	if format == "left" {
		text = fmt.Sprint(text, " at ", t.APIURL, " for ", t.ExpiresAt.Sub(now))
	}
	return []byte(text + "\n"), nil
}

func (f *fixture) path(name string) string { return filepath.Join(f.dir, name) }

func (f *fixture) prod() sink.Sink {
	return sink.Sink{Environment: "prod", Format: "token", Path: f.path("prod.jwt"), Mode: 0o600}
}

// configure replaces the set of files, and waits until they are updated.
func (f *fixture) configure(sinks ...sink.Sink) {
	f.m.Configure(sinks)
	synctest.Wait()
}

func (f *fixture) login(env string) {
	f.Helper()
	agenttest.Login(f.T, f.a, env)
	synctest.Wait()
}

func (f *fixture) logout(env string) {
	f.Helper()
	if err := f.a.Logout(f.Context(), agent.LogoutRequest{Environment: env}); err != nil {
		f.Fatal(err)
	}
	f.m.Settle(f.Context(), env) // as the daemon does
	synctest.Wait()
}

// token returns the agent's token.
func (f *fixture) token(env string) string {
	f.Helper()
	t, err := f.a.Token(f.Context(), agent.TokenRequest{Environment: env})
	if err != nil {
		f.Fatal(err)
	}
	return t.IDToken.Reveal()
}

// wantFile checks that the file name contains text, and that the status agrees.
func (f *fixture) wantFile(name, text string, mode fs.FileMode) {
	f.Helper()
	got, err := os.ReadFile(f.path(name))
	if err != nil || string(got) != text {
		f.Errorf("%s holds %q (%v), want %q", name, got, err, text)
	}
	if info, err := os.Lstat(f.path(name)); err != nil || info.Mode() != mode {
		f.Errorf("%s: %v (%v), want mode %s", name, info, err, mode)
	}
	if st := f.status(name); st.Error != "" || st.WrittenAt.IsZero() {
		f.Errorf("status %+v", st)
	}
	f.wantNoTemps()
}

// wantNone checks that there is no file name, and that the status says why.
func (f *fixture) wantNone(name, why string) {
	f.Helper()
	if _, err := os.Lstat(f.path(name)); err == nil {
		f.Errorf("%s is there", name)
	}
	if st := f.status(name); !strings.Contains(st.Error, why) || !st.WrittenAt.IsZero() || !st.ExpiresAt.IsZero() {
		f.Errorf("status %+v, want the error %q", st, why)
	}
	f.wantNoTemps()
}

func (f *fixture) wantNoTemps() {
	f.Helper()
	if names, _ := filepath.Glob(f.path(".*")); len(names) != 0 {
		f.Errorf("%q are left", names)
	}
}

func (f *fixture) status(name string) agent.SinkStatus {
	f.Helper()
	for _, st := range f.m.Status() {
		if st.Path == f.path(name) {
			return st
		}
	}
	f.Errorf("no status of %s", name)
	return agent.SinkStatus{}
}

// logged returns how often the log contains text.
func (f *fixture) logged(text string) int { return strings.Count(f.log.String(), text) }

const notSignedIn = "prod: not signed in; run: kyc-agentd login prod"

func TestLife(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.configure(f.prod())
		f.wantNone("prod.jwt", notSignedIn)
		f.login("prod")
		first := f.token("prod")
		f.wantFile("prod.jwt", first, 0o600)
		if st := f.status("prod.jwt"); st.Environment != "prod" || st.Format != "token" || time.Until(st.ExpiresAt).Round(time.Minute) != time.Hour {
			f.Errorf("status %+v", st)
		}
		if info, err := os.Stat(f.dir); err != nil || info.Mode().Perm() != 0o700 {
			f.Errorf("folder: %v %v", info, err)
		}
		f.logout("prod")
		f.wantNone("prod.jwt", notSignedIn)
		f.login("prod")
		f.wantFile("prod.jwt", f.token("prod"), 0o600)
		if f.token("prod") == first {
			f.Error("the same token as before")
		}
		f.m.Close(f.Context())
		if _, err := os.Lstat(f.path("prod.jwt")); err == nil {
			f.Error("Close left the file")
		}
		f.configure(f.prod())
		if len(f.m.Status()) != 0 {
			f.Error("configured after Close")
		}
	})
}

// TestAlwaysValid checks that the file alone keeps its token valid at any time, with one refresh per
// lifetime.
func TestAlwaysValid(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.login("prod")
		f.configure(f.prod())
		for range 24 * 60 {
			time.Sleep(time.Minute)
			synctest.Wait()
			if end := f.status("prod.jwt").ExpiresAt; time.Until(end) < 3*time.Minute {
				f.Fatalf("at %s the token in the file ends at %s", time.Now(), end)
			}
		}
		f.wantFile("prod.jwt", f.token("prod"), 0o600)
		if n := f.p.Refreshes(); n < 24 || n > 28 {
			f.Errorf("%d refreshes a day", n)
		}
	})
}

// TestOutage checks that a file is removed when its token expires, and returns by itself.
func TestOutage(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.login("prod")
		f.configure(f.prod())
		f.p.Set(func(r *agenttest.Rules) {
			r.Refresh = func(context.Context, int) error { return agenttest.Unavailable("prod", "down") }
		})
		time.Sleep(58 * time.Minute)
		synctest.Wait()
		f.wantFile("prod.jwt", f.token("prod"), 0o600)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		f.wantNone("prod.jwt", "prod: cannot reach Cognito: down")
		time.Sleep(24 * time.Hour) // longer than the token that was used last
		synctest.Wait()
		f.wantNone("prod.jwt", "prod: cannot reach Cognito: down")
		f.p.Set(func(r *agenttest.Rules) { r.Refresh = nil })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		f.wantFile("prod.jwt", f.token("prod"), 0o600)
		if n := f.logged("no token, so no token file"); n != 1 {
			f.Errorf("logged %d times:\n%s", n, f.log.String())
		}
	})
}

// waitsAtTheEnd makes the file's Manager wait for a refresh that takes an hour, 10 s before the
// end of the token in the file. It returns that end.
func (f *fixture) waitsAtTheEnd() time.Time {
	f.login("prod")
	f.configure(f.prod())
	end := f.status("prod.jwt").ExpiresAt
	f.p.Set(func(r *agenttest.Rules) {
		r.Refresh = func(context.Context, int) error { return agenttest.Unavailable("prod", "down") }
	})
	time.Sleep(time.Until(end) - 10*time.Second)
	f.p.Set(func(r *agenttest.Rules) { r.Refresh, r.Latency = nil, time.Hour })
	f.m.OnChange("prod")
	return end
}

// TestSlowAtTheEnd checks that a file is removed when its token expires, even while the Manager waits
// for another token.
func TestSlowAtTheEnd(t *testing.T) {
	inBubble(t, func(f *fixture) {
		end := f.waitsAtTheEnd()
		time.Sleep(time.Until(end) + time.Second)
		synctest.Wait()
		if _, err := os.Lstat(f.path("prod.jwt")); err == nil {
			f.Error("a dead token is there")
		}
	})
}

func TestRefusal(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.login("prod")
		f.configure(f.prod())
		f.p.EndAll()
		time.Sleep(56 * time.Minute)
		synctest.Wait()
		f.wantNone("prod.jwt", "kyc-agentd login prod")
	})
}

// TestMovedConfiguration checks that a token of another user pool is removed.
func TestMovedConfiguration(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.login("prod")
		f.configure(f.prod())
		c := agenttest.Config()
		for i := range c.Environments {
			c.Environments[i].UserPoolID += "-other"
		}
		if err := f.a.Configure(c); err != nil {
			f.Fatal(err)
		}
		synctest.Wait()
		f.wantNone("prod.jwt", "another user pool")
	})
}

// TestReconfigured checks that files follow the configuration, and that one that stays is not written
// again.
func TestReconfigured(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.login("prod")
		f.login("staging")
		other := sink.Sink{Environment: "staging", Format: "left", Path: f.path("staging.left"), Mode: 0o440}
		f.configure(f.prod(), other)
		stays, _ := os.Lstat(f.path("prod.jwt"))
		f.wantFile("staging.left", f.token("staging")+" at https://stg.example.com for 1h0m0s\n", 0o440)

		time.Sleep(time.Minute)
		f.configure(f.prod())
		if now, err := os.Lstat(f.path("prod.jwt")); err != nil || !os.SameFile(stays, now) {
			f.Errorf("prod.jwt was written again: %v", err)
		}
		if _, err := os.Lstat(other.Path); err == nil {
			f.Error("staging.left is there")
		}

		changed := f.prod()
		changed.Mode = 0o640
		f.configure(changed)
		f.wantFile("prod.jwt", f.token("prod"), 0o640)

		c := agenttest.Config()
		for i := range c.Environments {
			c.Environments[i].APIURL += "/v2"
		}
		f.configure(other)
		if err := f.a.Configure(c); err != nil {
			f.Fatal(err)
		}
		f.configure(other)
		f.wantFile("staging.left", f.token("staging")+" at https://stg.example.com/v2 for 59m0s\n", 0o440)
	})
}

// TestLeftByAKill checks that a start replaces or removes the files of a killed agent.
func TestLeftByAKill(t *testing.T) {
	for _, signedIn := range []bool{false, true} {
		inBubble(t, func(f *fixture) {
			if err := os.Mkdir(f.dir, 0o700); err != nil {
				f.Fatal(err)
			}
			for _, name := range []string{"prod.jwt", ".prod.jwt.kyc-ABC"} {
				if err := os.WriteFile(f.path(name), []byte("eyJold"), 0o600); err != nil {
					f.Fatal(err)
				}
			}
			if !signedIn {
				f.configure(f.prod())
				f.wantNone("prod.jwt", notSignedIn)
				return
			}
			f.login("prod")
			f.configure(f.prod())
			f.wantFile("prod.jwt", f.token("prod"), 0o600)
		})
	}
}

// TestPrivateFilesStay checks that a mistake in the configuration does not destroy a file that is as
// private as a token file.
func TestPrivateFilesStay(t *testing.T) {
	for _, text := range []string{
		"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAA", "machine kyc.example login ana password x\n",
		"hvs.CAESIJ", "apiVersion: v1\nusers:\n- user:\n    token: eyJhbGciOiJSUzI1NiJ9", "e",
	} {
		for _, signedIn := range []bool{false, true} {
			inBubble(t, func(f *fixture) {
				if err := firstError(os.Mkdir(f.dir, 0o700), os.WriteFile(f.path("prod.jwt"), []byte(text), 0o600)); err != nil {
					f.Fatal(err)
				}
				want := notSignedIn
				if signedIn {
					want = "what exists there is not one of the agent's token files; remove it, or name another path"
					f.login("prod")
				}
				f.configure(f.prod())
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if st := f.status("prod.jwt"); !strings.HasSuffix(st.Error, want) || !st.WrittenAt.IsZero() {
					f.Errorf("status %+v", st)
				}
				f.configure()
				if got, err := os.ReadFile(f.path("prod.jwt")); err != nil || string(got) != text {
					f.Errorf("it has become %q, %v", got, err)
				}
			})
		}
	}
}

// TestSomebodyElseTouchesTheFile checks that a file that was removed, replaced or made readable to
// others is restored.
func TestSomebodyElseTouchesTheFile(t *testing.T) {
	for name, touch := range map[string]func(path string) error{
		"removed": os.Remove,
		"opened":  func(path string) error { return os.Chmod(path, 0o640) },
		"written": func(path string) error { return os.WriteFile(path, []byte("other"), 0o600) },
		"linked": func(path string) error {
			_ = os.Remove(path)
			return os.Symlink(filepath.Join(filepath.Dir(path), "elsewhere"), path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(f *fixture) {
				f.login("prod")
				f.configure(f.prod())
				if err := touch(f.path("prod.jwt")); err != nil {
					f.Fatal(err)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				f.wantFile("prod.jwt", f.token("prod"), 0o600)
				if _, err := os.Lstat(f.path("elsewhere")); err == nil {
					f.Error("the link was followed")
				}
			})
		})
	}
}

// TestUnwritten checks that an obstacle is named, logged once and never touched, and that the file is
// written when the obstacle is gone.
func TestUnwritten(t *testing.T) {
	for _, tt := range []struct {
		name string
		prev func(f *fixture) error // what stands in the way
		want string
		fix  func(f *fixture) error
	}{
		{
			"no folder for the folder", func(f *fixture) error { return os.Rename(filepath.Dir(f.dir), filepath.Dir(f.dir)+".away") },
			"no such file or directory; make the folder ", func(f *fixture) error { return os.Rename(filepath.Dir(f.dir)+".away", filepath.Dir(f.dir)) },
		},
		{
			"a folder others can write to", func(f *fixture) error { return firstError(os.Mkdir(f.dir, 0o700), os.Chmod(f.dir, 0o770)) },
			"can be written by others (mode 0770); run: chmod go-w ", func(f *fixture) error { return os.Chmod(f.dir, 0o750) },
		},
		{
			"no folder at all", func(f *fixture) error { return os.WriteFile(f.dir, nil, 0o600) },
			"not a directory; fix that, or name another path", func(f *fixture) error { return os.Remove(f.dir) },
		},
		{
			"a folder in the file's place", func(f *fixture) error { return os.MkdirAll(f.path("prod.jwt"), 0o700) },
			"what exists there is not one of the agent's token files (mode drwx------)", func(f *fixture) error { return os.Remove(f.path("prod.jwt")) },
		},
		{
			"somebody's file", func(f *fixture) error {
				return firstError(os.Mkdir(f.dir, 0o700), os.WriteFile(f.path("prod.jwt"), []byte("dear diary"), 0o644))
			},
			"what exists there is not one of the agent's token files (mode -rw-r--r--)", func(f *fixture) error {
				text, err := os.ReadFile(f.path("prod.jwt"))
				if string(text) != "dear diary" {
					err = fmt.Errorf("it has become %q", text)
				}
				return firstError(err, os.Remove(f.path("prod.jwt")))
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(f *fixture) {
				if err := tt.prev(f); err != nil {
					f.Fatal(err)
				}
				f.configure(f.prod())
				f.login("prod")
				time.Sleep(time.Hour)
				synctest.Wait()
				st := f.status("prod.jwt")
				if !strings.HasPrefix(st.Error, "cannot write "+f.path("prod.jwt")+": ") || !strings.Contains(st.Error, tt.want) || !st.WrittenAt.IsZero() {
					f.Errorf("status %+v, want %q", st, tt.want)
				}
				if n := f.logged("level=WARN"); n != 1 {
					f.Errorf("%d warnings:\n%s", n, f.log.String())
				}
				if err := tt.fix(f); err != nil {
					f.Fatal(err)
				}
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				f.wantFile("prod.jwt", f.token("prod"), 0o600)
				if n := f.logged("the token file is up to date\""); n != 1 {
					f.Errorf("the recovery was logged %d times:\n%s", n, f.log.String())
				}
			})
		})
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestNothingIsLogged checks that the log never contains a token.
func TestNothingIsLogged(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.configure(f.prod())
		f.login("prod")
		token := f.token("prod")
		f.logout("prod")
		if f.log.String() == "" || strings.Contains(f.log.String(), token) {
			f.Errorf("log: %s", f.log.String())
		}
	})
}

// TestTwoAgents checks that of two agents with the same path the first keeps the file. The second
// reports that, leaves the file alone, and takes it over when the first is gone.
func TestTwoAgents(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.login("prod")
		f.configure(f.prod())
		second := sink.New(sink.Options{Token: f.a.Token, Render: render})
		second.Configure([]sink.Sink{f.prod()})
		synctest.Wait()
		if st := second.Status()[0]; !strings.HasSuffix(st.Error, "prod.jwt: another kyc-agentd uses it; stop that one, or name another path") || !st.WrittenAt.IsZero() {
			f.Errorf("status %+v", st)
		}
		second.Close(f.Context())
		f.wantFile("prod.jwt", f.token("prod"), 0o600)

		third := sink.New(sink.Options{Token: f.a.Token, Render: render})
		defer third.Close(f.Context())
		third.Configure([]sink.Sink{f.prod()})
		synctest.Wait()
		f.m.Close(f.Context())
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got, err := os.ReadFile(f.path("prod.jwt")); err != nil || string(got) != f.token("prod") || third.Status()[0].Error != "" {
			f.Errorf("%q %v %+v", got, err, third.Status())
		}
	})
}

// TestCloseDoesNotWait checks that Close removes a file at once, even while the Manager waits for a
// token.
func TestCloseDoesNotWait(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.login("prod")
		f.configure(f.prod())
		f.p.Set(func(r *agenttest.Rules) { r.Latency = time.Hour })
		time.Sleep(time.Hour - time.Second)
		began := time.Now()
		f.m.Close(f.Context())
		if _, err := os.Lstat(f.path("prod.jwt")); err == nil || time.Since(began) > 0 {
			f.Errorf("the file is there: %t, after %s", err == nil, time.Since(began))
		}
	})
}

func TestCheckMode(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o400, 0o640, 0o440} {
		if err := sink.CheckMode(mode); err != nil {
			t.Error(err)
		}
	}
	for _, mode := range []fs.FileMode{0, 0o644, 0o660, 0o604, 0o700, 0o610, 0o200, 0o040, 0o777, 0o4600} {
		if sink.CheckMode(mode) == nil {
			t.Errorf("%04o is taken", mode)
		}
	}
}
