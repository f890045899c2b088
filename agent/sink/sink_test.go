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

// A house is an agent in a synctest bubble with a keeper of token files.
type house struct {
	*testing.T
	p   *agenttest.Authenticator
	a   *agent.Agent
	k   *sink.Manager
	dir string
	log testlog.Buffer // the keeper writes, and the test reads
}

func inBubble(t *testing.T, body func(h *house)) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sinks") // missing, in a folder of ours
	synctest.Test(t, func(t *testing.T) {
		h := &house{T: t, p: agenttest.NewAuthenticator(), dir: dir}
		h.k = sink.New(sink.Options{
			Token:  func(ctx context.Context, req agent.TokenRequest) (agent.Token, error) { return h.a.Token(ctx, req) },
			Render: render,
			Logger: slog.New(slog.NewTextHandler(&h.log, nil)),
		})
		h.a = agenttest.NewAgent(t, h.p, func(o *agent.Options) { o.OnChange = h.k.OnChange })
		defer h.k.Close(context.Background())
		body(h)
	})
}

// render has a line end in every format, as the agent's formats do.
func render(format string, t agent.Token, now time.Time) ([]byte, error) {
	text := t.IDToken.Reveal()
	if format == "left" {
		text = fmt.Sprint(text, " at ", t.APIURL, " for ", t.ExpiresAt.Sub(now))
	}
	return []byte(text + "\n"), nil
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

func (h *house) prod() sink.Sink {
	return sink.Sink{Environment: "prod", Format: "token", Path: h.path("prod.jwt"), Mode: 0o600}
}

// configure makes sinks the files there are, and waits until they are looked at.
func (h *house) configure(sinks ...sink.Sink) {
	h.k.Configure(sinks)
	synctest.Wait()
}

func (h *house) login(env string) {
	h.Helper()
	agenttest.Login(h.T, h.a, env)
	synctest.Wait()
}

func (h *house) logout(env string) {
	h.Helper()
	if err := h.a.Logout(h.Context(), agent.LogoutRequest{Environment: env}); err != nil {
		h.Fatal(err)
	}
	synctest.Wait()
}

// token is what the agent has.
func (h *house) token(env string) string {
	h.Helper()
	t, err := h.a.Token(h.Context(), agent.TokenRequest{Environment: env})
	if err != nil {
		h.Fatal(err)
	}
	return t.IDToken.Reveal()
}

// wantFile wants text in the file called name, and that the status agrees.
func (h *house) wantFile(name, text string, mode fs.FileMode) {
	h.Helper()
	got, err := os.ReadFile(h.path(name))
	if err != nil || string(got) != text {
		h.Errorf("%s holds %q (%v), want %q", name, got, err, text)
	}
	if info, err := os.Lstat(h.path(name)); err != nil || info.Mode() != mode {
		h.Errorf("%s: %v (%v), want mode %s", name, info, err, mode)
	}
	if st := h.status(name); st.Error != "" || st.WrittenAt.IsZero() {
		h.Errorf("status %+v", st)
	}
	h.wantNoTemps()
}

// wantNone wants no file called name, and why in the status.
func (h *house) wantNone(name, why string) {
	h.Helper()
	if _, err := os.Lstat(h.path(name)); err == nil {
		h.Errorf("%s is there", name)
	}
	if st := h.status(name); !strings.Contains(st.Error, why) || !st.WrittenAt.IsZero() || !st.ExpiresAt.IsZero() {
		h.Errorf("status %+v, want the error %q", st, why)
	}
	h.wantNoTemps()
}

func (h *house) wantNoTemps() {
	h.Helper()
	if names, _ := filepath.Glob(h.path(".*")); len(names) != 0 {
		h.Errorf("%q are left", names)
	}
}

func (h *house) status(name string) agent.SinkStatus {
	h.Helper()
	for _, st := range h.k.Status() {
		if st.Path == h.path(name) {
			return st
		}
	}
	h.Errorf("no status of %s", name)
	return agent.SinkStatus{}
}

// logged is how often the log has text.
func (h *house) logged(text string) int { return strings.Count(h.log.String(), text) }

const notSignedIn = "prod: not signed in; run: kyc-agentd login prod"

func TestLife(t *testing.T) {
	inBubble(t, func(h *house) {
		h.configure(h.prod())
		h.wantNone("prod.jwt", notSignedIn)
		h.login("prod")
		first := h.token("prod")
		h.wantFile("prod.jwt", first, 0o600)
		if st := h.status("prod.jwt"); st.Environment != "prod" || st.Format != "token" || time.Until(st.ExpiresAt).Round(time.Minute) != time.Hour {
			h.Errorf("status %+v", st)
		}
		if info, err := os.Stat(h.dir); err != nil || info.Mode().Perm() != 0o700 {
			h.Errorf("folder: %v %v", info, err)
		}
		h.logout("prod")
		h.wantNone("prod.jwt", notSignedIn)
		h.login("prod")
		h.wantFile("prod.jwt", h.token("prod"), 0o600)
		if h.token("prod") == first {
			h.Error("the same token as before")
		}
		h.k.Close(h.Context())
		if _, err := os.Lstat(h.path("prod.jwt")); err == nil {
			h.Error("Close left the file")
		}
		h.configure(h.prod())
		if len(h.k.Status()) != 0 {
			h.Error("configured after Close")
		}
	})
}

// TestAlwaysValid holds that, with nobody asking but the file, what is in it is valid
// at any time and costs one refresh a life.
func TestAlwaysValid(t *testing.T) {
	inBubble(t, func(h *house) {
		h.login("prod")
		h.configure(h.prod())
		for range 24 * 60 {
			time.Sleep(time.Minute)
			synctest.Wait()
			if end := h.status("prod.jwt").ExpiresAt; time.Until(end) < 3*time.Minute {
				h.Fatalf("at %s the token in the file ends at %s", time.Now(), end)
			}
		}
		h.wantFile("prod.jwt", h.token("prod"), 0o600)
		if n := h.p.Refreshes(); n < 24 || n > 28 {
			h.Errorf("%d refreshes a day", n)
		}
	})
}

// TestOutage holds that a file goes when its token ends, and comes back by itself.
func TestOutage(t *testing.T) {
	inBubble(t, func(h *house) {
		h.login("prod")
		h.configure(h.prod())
		h.p.Set(func(r *agenttest.Rules) {
			r.Refresh = func(context.Context, int) error { return agenttest.Unavailable("prod", "down") }
		})
		time.Sleep(58 * time.Minute)
		synctest.Wait()
		h.wantFile("prod.jwt", h.token("prod"), 0o600)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		h.wantNone("prod.jwt", "prod: cannot reach Cognito: down")
		time.Sleep(24 * time.Hour) // longer than the token that was used last
		synctest.Wait()
		h.wantNone("prod.jwt", "prod: cannot reach Cognito: down")
		h.p.Set(func(r *agenttest.Rules) { r.Refresh = nil })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		h.wantFile("prod.jwt", h.token("prod"), 0o600)
		if n := h.logged("no token, so no token file"); n != 1 {
			h.Errorf("logged %d times:\n%s", n, h.log.String())
		}
	})
}

// TestSlowAtTheEnd holds that a file goes when its token ends, though another is being
// waited for.
func TestSlowAtTheEnd(t *testing.T) {
	inBubble(t, func(h *house) {
		h.login("prod")
		h.configure(h.prod())
		end := h.status("prod.jwt").ExpiresAt
		h.p.Set(func(r *agenttest.Rules) {
			r.Refresh = func(context.Context, int) error { return agenttest.Unavailable("prod", "down") }
		})
		time.Sleep(time.Until(end) - 10*time.Second)
		h.p.Set(func(r *agenttest.Rules) { r.Refresh, r.Latency = nil, time.Hour })
		h.k.OnChange("prod")
		time.Sleep(time.Until(end) + time.Second)
		synctest.Wait()
		if _, err := os.Lstat(h.path("prod.jwt")); err == nil {
			h.Error("a dead token is there")
		}
	})
}

func TestRefusal(t *testing.T) {
	inBubble(t, func(h *house) {
		h.login("prod")
		h.configure(h.prod())
		h.p.EndAll()
		time.Sleep(56 * time.Minute)
		synctest.Wait()
		h.wantNone("prod.jwt", "kyc-agentd login prod")
	})
}

// TestMovedConfiguration holds that a token of another user pool does not stay.
func TestMovedConfiguration(t *testing.T) {
	inBubble(t, func(h *house) {
		h.login("prod")
		h.configure(h.prod())
		c := agenttest.Config()
		for i := range c.Environments {
			c.Environments[i].UserPoolID += "-other"
		}
		if err := h.a.Configure(c); err != nil {
			h.Fatal(err)
		}
		synctest.Wait()
		h.wantNone("prod.jwt", "another user pool")
	})
}

// TestReconfigured holds that files come and go with the configuration, and that one
// that stays is not written again.
func TestReconfigured(t *testing.T) {
	inBubble(t, func(h *house) {
		h.login("prod")
		h.login("staging")
		other := sink.Sink{Environment: "staging", Format: "left", Path: h.path("staging.left"), Mode: 0o440}
		h.configure(h.prod(), other)
		stays, _ := os.Lstat(h.path("prod.jwt"))
		h.wantFile("staging.left", h.token("staging")+" at https://stg.example.com for 1h0m0s\n", 0o440)

		time.Sleep(time.Minute)
		h.configure(h.prod())
		if now, err := os.Lstat(h.path("prod.jwt")); err != nil || !os.SameFile(stays, now) {
			h.Errorf("prod.jwt was written again: %v", err)
		}
		if _, err := os.Lstat(other.Path); err == nil {
			h.Error("staging.left is there")
		}

		changed := h.prod()
		changed.Mode = 0o640
		h.configure(changed)
		h.wantFile("prod.jwt", h.token("prod"), 0o640)

		c := agenttest.Config()
		for i := range c.Environments {
			c.Environments[i].APIURL += "/v2"
		}
		h.configure(other)
		if err := h.a.Configure(c); err != nil {
			h.Fatal(err)
		}
		h.configure(other)
		h.wantFile("staging.left", h.token("staging")+" at https://stg.example.com/v2 for 59m0s\n", 0o440)
	})
}

// TestLeftByAKill holds that a start replaces or removes what an agent left.
func TestLeftByAKill(t *testing.T) {
	for _, signedIn := range []bool{false, true} {
		inBubble(t, func(h *house) {
			if err := os.Mkdir(h.dir, 0o700); err != nil {
				h.Fatal(err)
			}
			for _, name := range []string{"prod.jwt", ".prod.jwt.kyc-ABC"} {
				if err := os.WriteFile(h.path(name), []byte("eyJold"), 0o600); err != nil {
					h.Fatal(err)
				}
			}
			if !signedIn {
				h.configure(h.prod())
				h.wantNone("prod.jwt", notSignedIn)
				return
			}
			h.login("prod")
			h.configure(h.prod())
			h.wantFile("prod.jwt", h.token("prod"), 0o600)
		})
	}
}

// TestPrivateFilesStay holds that a slip in the configuration costs nobody a file that is
// as private as a token file is.
func TestPrivateFilesStay(t *testing.T) {
	for _, text := range []string{
		"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAA", "machine kyc.example login ana password x\n",
		"hvs.CAESIJ", "apiVersion: v1\nusers:\n- user:\n    token: eyJhbGciOiJSUzI1NiJ9", "e",
	} {
		for _, signedIn := range []bool{false, true} {
			inBubble(t, func(h *house) {
				if err := firstError(os.Mkdir(h.dir, 0o700), os.WriteFile(h.path("prod.jwt"), []byte(text), 0o600)); err != nil {
					h.Fatal(err)
				}
				want := notSignedIn
				if signedIn {
					want = "what is there is no token file of the agent's; remove it, or name another path"
					h.login("prod")
				}
				h.configure(h.prod())
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if st := h.status("prod.jwt"); !strings.HasSuffix(st.Error, want) || !st.WrittenAt.IsZero() {
					h.Errorf("status %+v", st)
				}
				h.configure()
				if got, err := os.ReadFile(h.path("prod.jwt")); err != nil || string(got) != text {
					h.Errorf("it has become %q, %v", got, err)
				}
			})
		}
	}
}

// TestSomebodyElseTouchesTheFile holds that a file that was removed, replaced or opened
// to others is put right.
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
			inBubble(t, func(h *house) {
				h.login("prod")
				h.configure(h.prod())
				if err := touch(h.path("prod.jwt")); err != nil {
					h.Fatal(err)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				h.wantFile("prod.jwt", h.token("prod"), 0o600)
				if _, err := os.Lstat(h.path("elsewhere")); err == nil {
					h.Error("the link was followed")
				}
			})
		})
	}
}

// TestUnwritten holds that what stands in the way is named, logged once, never touched,
// and that the file comes when it is gone.
func TestUnwritten(t *testing.T) {
	for _, tt := range []struct {
		name string
		prev func(h *house) error // what stands in the way
		want string
		mend func(h *house) error
	}{
		{
			"no folder for the folder", func(h *house) error { return os.Rename(filepath.Dir(h.dir), filepath.Dir(h.dir)+".away") },
			"no such file or directory; make the folder ", func(h *house) error { return os.Rename(filepath.Dir(h.dir)+".away", filepath.Dir(h.dir)) },
		},
		{
			"a folder others can write to", func(h *house) error { return firstError(os.Mkdir(h.dir, 0o700), os.Chmod(h.dir, 0o770)) },
			"can be written by others (mode 0770); run: chmod go-w ", func(h *house) error { return os.Chmod(h.dir, 0o750) },
		},
		{
			"no folder at all", func(h *house) error { return os.WriteFile(h.dir, nil, 0o600) },
			"not a directory; mend that, or name another path", func(h *house) error { return os.Remove(h.dir) },
		},
		{
			"a folder in the file's place", func(h *house) error { return os.MkdirAll(h.path("prod.jwt"), 0o700) },
			"what is there is no token file of the agent's (mode drwx------)", func(h *house) error { return os.Remove(h.path("prod.jwt")) },
		},
		{
			"somebody's file", func(h *house) error {
				return firstError(os.Mkdir(h.dir, 0o700), os.WriteFile(h.path("prod.jwt"), []byte("dear diary"), 0o644))
			},
			"what is there is no token file of the agent's (mode -rw-r--r--)", func(h *house) error {
				text, err := os.ReadFile(h.path("prod.jwt"))
				if string(text) != "dear diary" {
					err = fmt.Errorf("it has become %q", text)
				}
				return firstError(err, os.Remove(h.path("prod.jwt")))
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(h *house) {
				if err := tt.prev(h); err != nil {
					h.Fatal(err)
				}
				h.configure(h.prod())
				h.login("prod")
				time.Sleep(time.Hour)
				synctest.Wait()
				st := h.status("prod.jwt")
				if !strings.HasPrefix(st.Error, "cannot write "+h.path("prod.jwt")+": ") || !strings.Contains(st.Error, tt.want) || !st.WrittenAt.IsZero() {
					h.Errorf("status %+v, want %q", st, tt.want)
				}
				if n := h.logged("level=WARN"); n != 1 {
					h.Errorf("%d warnings:\n%s", n, h.log.String())
				}
				if err := tt.mend(h); err != nil {
					h.Fatal(err)
				}
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				h.wantFile("prod.jwt", h.token("prod"), 0o600)
				if n := h.logged("as it should be\""); n != 1 {
					h.Errorf("%d lines of a good end:\n%s", n, h.log.String())
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

// TestNothingIsLogged holds that the log has no token, whatever happens.
func TestNothingIsLogged(t *testing.T) {
	inBubble(t, func(h *house) {
		h.configure(h.prod())
		h.login("prod")
		token := h.token("prod")
		h.logout("prod")
		if h.log.String() == "" || strings.Contains(h.log.String(), token) {
			h.Errorf("log: %s", h.log.String())
		}
	})
}

// TestTwoAgents holds that of two agents with one path the first keeps the file, the
// second says so and leaves it alone, and takes it over when the first is gone.
func TestTwoAgents(t *testing.T) {
	inBubble(t, func(h *house) {
		h.login("prod")
		h.configure(h.prod())
		second := sink.New(sink.Options{Token: h.a.Token, Render: render})
		second.Configure([]sink.Sink{h.prod()})
		synctest.Wait()
		if st := second.Status()[0]; !strings.HasSuffix(st.Error, "prod.jwt: another kyc-agentd keeps it; stop that one, or name another path") || !st.WrittenAt.IsZero() {
			h.Errorf("status %+v", st)
		}
		second.Close(h.Context())
		h.wantFile("prod.jwt", h.token("prod"), 0o600)

		third := sink.New(sink.Options{Token: h.a.Token, Render: render})
		defer third.Close(h.Context())
		third.Configure([]sink.Sink{h.prod()})
		synctest.Wait()
		h.k.Close(h.Context())
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got, err := os.ReadFile(h.path("prod.jwt")); err != nil || string(got) != h.token("prod") || third.Status()[0].Error != "" {
			h.Errorf("%q %v %+v", got, err, third.Status())
		}
	})
}

// TestCloseDoesNotWait holds that a file goes at once though a token is waited for.
func TestCloseDoesNotWait(t *testing.T) {
	inBubble(t, func(h *house) {
		h.login("prod")
		h.configure(h.prod())
		h.p.Set(func(r *agenttest.Rules) { r.Latency = time.Hour })
		time.Sleep(time.Hour - time.Second)
		began := time.Now()
		h.k.Close(h.Context())
		if _, err := os.Lstat(h.path("prod.jwt")); err == nil || time.Since(began) > 0 {
			h.Errorf("the file is there: %t, after %s", err == nil, time.Since(began))
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
