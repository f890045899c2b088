package ipc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/apiproxy"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
	"github.com/legaltalent/kyc-agent/ipc/ipctest"
)

// A flow is a proxy and an API in memory, for a synctest bubble.
type flow struct {
	*ipctest.Listener
	client *http.Client
	stop   func()
}

// newFlow serves h behind a proxy.
func newFlow(t *testing.T, h http.HandlerFunc) flow {
	t.Helper()
	return newFlowOf(t, tokenFor("http://localhost", "staging"), h)
}

// newFlowOf is newFlow with the tokens of service, whose API is at http://localhost.
func newFlowOf(t *testing.T, service agent.Service, h http.HandlerFunc) flow {
	t.Helper()
	api, ln := ipctest.Listen(), ipctest.Listen()
	behind := &http.Server{Handler: h}
	go func() { _ = behind.Serve(api) }()
	t.Cleanup(func() { _ = behind.Close() })
	stop := serve(t, &Server{
		Service: service, Proxy: true,
		dialAPI: func(ctx context.Context, _, _ string) (net.Conn, error) { return api.Dial(ctx) },
	}, ln)
	return flow{ln, throughProxy(t, ln), stop}
}

// tokenIsThere checks that a cached token is answered at once.
func (f flow) tokenIsThere(t *testing.T) {
	t.Helper()
	began := time.Now()
	if a := ask(t, f.Listener, rawRequest("GET", "/v1/token?env=staging", "")); a.StatusCode != http.StatusOK {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if took := time.Since(began); took != 0 {
		t.Errorf("a token took %s", took)
	}
}

// Bodies are passed on both ways at once, each piece when it arrives, with any pauses.
func TestProxyBothWaysAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(t, func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			lines := bufio.NewScanner(r.Body)
			for lines.Scan() {
				fmt.Fprintf(w, "echo %s\n", lines.Text())
				_ = http.NewResponseController(w).Flush()
			}
		})
		body, write := io.Pipe()
		go func() { _, _ = io.WriteString(write, "0\n") }()
		res, err := f.client.Post("http://staging/", "", body)
		if err != nil {
			t.Fatal(err)
		}
		answer := bufio.NewReader(res.Body)
		for i := range 5 {
			if line, err := answer.ReadString('\n'); line != fmt.Sprintf("echo %d\n", i) {
				t.Fatalf("%q, %v", line, err)
			}
			time.Sleep(apiproxy.StallTimeout - time.Second)
			fmt.Fprintf(write, "%d\n", i+1)
		}
		_ = write.Close()
		if rest, err := io.ReadAll(answer); string(rest) != "echo 5\n" || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

// A small answer of known length is not held back until it is complete, either.
func TestProxySlowSmallAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "7")
			_, _ = io.WriteString(w, "one")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(apiproxy.StallTimeout - time.Second)
			_, _ = io.WriteString(w, " two")
		})
		began := time.Now()
		res, err := f.client.Get("http://staging/")
		if err != nil {
			t.Fatal(err)
		}
		begin := make([]byte, 3)
		if _, err := io.ReadFull(res.Body, begin); err != nil || string(begin) != "one" {
			t.Errorf("%q, %v", begin, err)
		}
		if took := time.Since(began); took > 5*time.Millisecond {
			t.Errorf("after %s", took)
		}
		if rest, err := io.ReadAll(res.Body); string(rest) != " two" || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

// An API may be silent for any time in an answer that is a stream of events.
func TestProxySlowEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "Text/Event-Stream; charset=utf-8")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				_ = http.NewResponseController(w).Flush()
				time.Sleep(3 * time.Hour)
			}
		})
		res, err := f.client.Get("http://staging/events")
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); string(body) != "data: 0\n\ndata: 1\n\ndata: 2\n\n" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
	})
}

// An API that stands still in the middle of any other answer is given up after a minute, and the
// client sees that the answer is not complete. A client that reads slowly is not to blame on it.
func TestProxyAnswerStandsStill(t *testing.T) {
	for name, length := range map[string]string{"of known length": "1000", "in chunks": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gone := make(chan time.Duration, 1)
				f := newFlow(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					if length != "" {
						w.Header().Set("Content-Length", length)
					}
					for range 3 {
						_, _ = io.WriteString(w, "part")
						_ = http.NewResponseController(w).Flush()
						time.Sleep(apiproxy.StallTimeout - time.Second)
					}
					began := time.Now()
					<-r.Context().Done()
					gone <- time.Since(began)
				})
				res, err := f.client.Get("http://staging/")
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if body, err := io.ReadAll(res.Body); string(body) != "partpartpart" || err == nil {
					t.Errorf("%q, %v", body, err)
				}
				if took := time.Since(began); took < 3*apiproxy.StallTimeout-3*time.Second || took > 3*apiproxy.StallTimeout {
					t.Errorf("after %s", took)
				}
				if took := <-gone; took != time.Second {
					t.Errorf("the API noticed after %s more", took)
				}
				f.tokenIsThere(t)
			})
		})
	}
}

// A 401 whose body stands still, or has no end, is not waited for: the request is sent again.
func TestProxyRefusalStandsStill(t *testing.T) {
	for name, more := range map[string]func(http.ResponseWriter, *http.Request){
		"at once": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"after a piece": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "no")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"dripping": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, ".")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-time.After(100 * time.Millisecond):
				case <-r.Context().Done():
				}
			}
		},
		"endless": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, zeros{}) },
	} {
		for _, first := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%t", name, first), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					asked := 0
					service := &scripted{token: func(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
						tok := fixture.Token(req.Environment)
						tok.APIURL = "http://localhost"
						if asked++; req.MinValid > 0 && first {
							tok.IDToken = agent.NewSecret("newer")
						}
						return tok, nil
					}}
					f := newFlowOf(t, service, func(w http.ResponseWriter, r *http.Request) {
						if r.Header.Get("Authorization") == "Bearer newer" {
							_, _ = io.WriteString(w, "yes")
							return
						}
						w.WriteHeader(http.StatusUnauthorized)
						_ = http.NewResponseController(w).Flush()
						more(w, r)
					})
					began := time.Now()
					res, err := f.client.Get("http://staging/")
					if err != nil {
						t.Fatal(err)
					}
					defer res.Body.Close()
					if first {
						if body, err := io.ReadAll(res.Body); res.StatusCode != 200 || string(body) != "yes" || err != nil {
							t.Errorf("%d %q, %v", res.StatusCode, body, err)
						}
					} else if res.StatusCode != http.StatusUnauthorized {
						t.Errorf("%d", res.StatusCode)
					}
					if took := time.Since(began); took > time.Second {
						t.Errorf("after %s", took)
					}
				})
			})
		}
	}
}

// A request to an API that does not answer fails, and delays no other request.
func TestProxyUpstreamHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		})
		c := dial(t, f.Listener)
		began := time.Now()
		go func() { _, _ = io.WriteString(c, toAPI("POST", "/kyc", "{}")) }()
		synctest.Wait()
		f.tokenIsThere(t)
		a := readAnswer(t, c)
		if p := a.problem(t); p.Code != agent.CodeUnavailable || !strings.Contains(p.Detail, "localhost did not answer in time") {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		if took := time.Since(began); took != apiproxy.ResponseTimeout {
			t.Errorf("after %s", took)
		}
	})
}

// The client can tell an answer that breaks off from a complete one.
func TestProxyUpstreamDies(t *testing.T) {
	for name, length := range map[string]string{"small": "100", "of known length": "100000", "chunked": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFlow(t, func(w http.ResponseWriter, _ *http.Request) {
					if length != "" {
						w.Header().Set("Content-Length", length)
					}
					_, _ = io.WriteString(w, "the first half")
					_ = http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				})
				res, err := f.client.Get("http://staging/")
				if err != nil {
					t.Fatal(err)
				}
				if body, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "the first half" {
					t.Errorf("%q, %v", body, err)
				}
			})
		})
	}
}

// A client that stops in the middle of its upload is disconnected, and the API sees that the
// body is not complete.
func TestProxyClientStallsInUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan error, 1)
		f := newFlow(t, func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			got <- err
		})
		c := dial(t, f.Listener)
		began := time.Now()
		a := exchangeOn(t, c, toAPI("PUT", "/", "", "Content-Length: 1000000")+"begins")
		if p := a.problem(t); p.Code != agent.CodeUsage || !strings.Contains(p.Detail, "did not arrive whole") {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		if took := time.Since(began); took != apiproxy.StallTimeout {
			t.Errorf("after %s", took)
		}
		if err := <-got; err == nil {
			t.Error("the API took the body for complete")
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("the connection goes on: %d, %v", n, err)
		}
	})
}

// If an API dies in the middle of an upload, the client gets the error at once, even if it
// has more to send and sends nothing.
func TestProxyUpstreamDiesInUpload(t *testing.T) {
	dies := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = r.Body.Read(make([]byte, 1))
			c, _, err := w.(http.Hijacker).Hijack() // a server would wait for more itself
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, answer)
			_ = c.Close()
		}
	}
	for _, length := range []string{"Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		for name, h := range map[string]http.HandlerFunc{
			"unanswered": dies(""),
			"answering":  dies("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthe first half"),
		} {
			t.Run(name+", "+length, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFlow(t, h)
					c := dial(t, f.Listener)
					began := time.Now()
					_, _ = io.WriteString(c, toAPI("PUT", "/", "", length)+"6\r\nbegins\r\n")
					res, err := http.ReadResponse(bufio.NewReader(c), nil)
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(res.Body)
					switch {
					case name == "answering" && (string(body) != "the first half" || !errors.Is(err, io.ErrUnexpectedEOF)):
						t.Errorf("%q, %v", body, err)
					case name == "unanswered" && (res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "hung up without an answer")):
						t.Errorf("%d %s", res.StatusCode, body)
					}
					if took := time.Since(began); took != 0 {
						t.Errorf("after %s", took)
					}
				})
			})
		}
	}
}

// A client that does not read its download is disconnected, and the request at the API ends.
func TestProxyClientStallsInDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone, flowing := make(chan time.Duration, 1), make(chan bool)
		f := newFlow(t, func(w http.ResponseWriter, _ *http.Request) {
			began := time.Now()
			_, _ = w.Write(make([]byte, 1000))
			_ = http.NewResponseController(w).Flush()
			<-flowing
			for {
				if _, err := w.Write(make([]byte, 1000)); err != nil {
					gone <- time.Since(began)
					return
				}
			}
		})
		c := dial(t, f.Listener)
		_, _ = io.WriteString(c, toAPI("GET", "/", ""))
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, res.Body, 1000); err != nil { // and no more
			t.Fatal(err)
		}
		// The proxy's first flush, which has its own goroutine, is over by then: if it waited
		// for the lock of a blocked write, time in the bubble would not advance.
		synctest.Wait()
		close(flowing)
		f.tokenIsThere(t)
		if took := <-gone; took != apiproxy.StallTimeout {
			t.Errorf("after %s", took)
		}
	})
}

// A request to an API that reads nothing of an upload fails too.
func TestProxyUpstreamDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(t, func(http.ResponseWriter, *http.Request) { <-t.Context().Done() })
		began := time.Now()
		// Not Go's client: it may report that it could not write the rest, instead of the answer.
		c := dial(t, f.Listener)
		go func() {
			_, _ = io.WriteString(c, toAPI("POST", "/", "", "Content-Length: 1048576"))
			_, _ = io.CopyN(c, zeros{}, 1<<20)
		}()
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); res.StatusCode != 503 || res.Header.Get("Kyc-Error") != "unavailable" || took != apiproxy.StallTimeout {
			t.Errorf("%d %v after %s", res.StatusCode, res.Header, took)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A client that disconnects ends the request at the API.
func TestProxyClientGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, gone := make(chan bool, 1), make(chan error, 1)
		f := newFlow(t, func(_ http.ResponseWriter, r *http.Request) {
			got <- true
			<-r.Context().Done()
			gone <- r.Context().Err()
		})
		c := dial(t, f.Listener)
		_, _ = io.WriteString(c, toAPI("GET", "/", ""))
		<-got
		began := time.Now()
		_ = c.Close()
		<-gone
		if took := time.Since(began); took != 0 {
			t.Errorf("after %s", took)
		}
	})
}

// An API may answer before it has read everything, and the client gets the answer.
func TestProxyEarlyAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(t, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		})
		c := dial(t, f.Listener)
		a := exchangeOn(t, c, toAPI("PUT", "/", "", "Content-Length: 1000000000")+strings.Repeat("x", 100))
		if a.StatusCode != http.StatusRequestEntityTooLarge || a.Header.Get("Kyc-Error") != "" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}

// With Expect: 100-continue the client is asked for the body only when the API asks for it.
func TestProxyExpectContinue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/no" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		})
		for path, want := range map[string]string{"/no": "HTTP/1.1 403 ", "/yes": "HTTP/1.1 100 "} {
			c := dial(t, f.Listener)
			_, _ = io.WriteString(c, toAPI("PUT", path, "", "Content-Length: 100000", "Expect: 100-continue"))
			r := bufio.NewReader(c)
			line, err := r.ReadString('\n')
			if !strings.HasPrefix(line, want) || err != nil {
				t.Fatalf("%s: %q, %v", path, line, err)
			}
			if path == "/no" {
				continue
			}
			_, _ = r.ReadString('\n')
			go func() { _, _ = io.CopyN(c, zeros{}, 100000) }()
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || string(body) != "100000" {
				t.Errorf("%d %q", res.StatusCode, body)
			}
		}
	})
}

// After Serve was told to stop, a request may finish within the grace; a longer one is cut
// off.
func TestProxyStop(t *testing.T) {
	for pause, whole := range map[time.Duration]bool{defaultGrace - time.Second: true, time.Hour: false} {
		synctest.Test(t, func(t *testing.T) {
			f := newFlow(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "one ")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-time.After(pause):
				case <-r.Context().Done():
				}
				_, _ = io.WriteString(w, "two")
			})
			res, err := f.client.Get("http://staging/")
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			go f.stop()
			body, err := io.ReadAll(res.Body)
			if took := time.Since(began); whole != (err == nil && string(body) == "one two") || took > defaultGrace {
				t.Errorf("%q, %v, after %s", body, err, took)
			}
			f.stop()
		})
	}
}

// A thousand requests at once, each with another body, all get their own answer.
func TestProxyThousandAtOnce(t *testing.T) {
	testpeer.Slow(t)
	const n = 1000
	var together sync.WaitGroup
	together.Add(n)
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		together.Done()
		together.Wait() // all of them have arrived now
		fmt.Fprintf(w, "%s %s %s", r.URL.Path, body, r.Header.Get("Authorization"))
	})
	path := filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
	serve(t, &Server{Service: tokenFor(u.URL, "staging"), Proxy: true}, listen(t, path))
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	t.Cleanup(client.CloseIdleConnections)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			res, err := client.Post(fmt.Sprintf("http://staging/%d", i), "", strings.NewReader(strings.Repeat(fmt.Sprint(i), 50)))
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			want := fmt.Sprintf("/%d %s Bearer %s", i, strings.Repeat(fmt.Sprint(i), 50), fixture.JWT)
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != want {
				t.Errorf("request %d: %d %q, %v", i, res.StatusCode, body, err)
			}
		})
	}
	wg.Wait()
}

// With the real agent, any number of refused requests cause one refresh, and a token that
// was just received causes none.
func TestProxyRenewsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := agenttest.NewAuthenticator()
		service := agenttest.NewAgent(t, p, func(o *agent.Options) { o.Config.Environments[0].APIURL = "http://localhost" })
		agenttest.Login(t, service, "staging")
		f := newFlowOf(t, service, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
		for _, want := range []int{0, 1} {
			before := p.Refreshes()
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					res, err := f.client.Post("http://staging/kyc", "application/json", strings.NewReader("{}"))
					if err != nil {
						t.Error(err)
						return
					}
					_ = res.Body.Close()
					if res.StatusCode != http.StatusUnauthorized || res.Header.Get("Kyc-Error") != "" {
						t.Errorf("status %d, Kyc-Error %q", res.StatusCode, res.Header.Get("Kyc-Error"))
					}
				})
			}
			wg.Wait()
			if n := p.Refreshes() - before; n != want {
				t.Errorf("%d refreshes, want %d", n, want)
			}
			time.Sleep(time.Minute + time.Second) // at a minute the server closes connections on which the client may just send
		}
	})
}

// A token that is a few seconds old is replaced as well, even if that takes longer than it is old.
func TestProxyRenewsAYoungToken(t *testing.T) {
	for _, latency := range []time.Duration{100 * time.Millisecond, 1900 * time.Millisecond} {
		t.Run(latency.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := agenttest.NewAuthenticator()
				p.Set(func(r *agenttest.Rules) { r.Latency = latency })
				service := agenttest.NewAgent(t, p, func(o *agent.Options) { o.Config.Environments[0].APIURL = "http://localhost" })
				agenttest.Login(t, service, "staging")
				refused := ""
				f := newFlowOf(t, service, func(w http.ResponseWriter, r *http.Request) {
					if got := r.Header.Get("Authorization"); refused == "" || refused == got {
						refused = got
						w.WriteHeader(http.StatusUnauthorized)
					}
				})
				time.Sleep(1500 * time.Millisecond)
				res, err := f.client.Get("http://staging/kyc")
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				if res.StatusCode != http.StatusOK || p.Refreshes() != 1 {
					t.Errorf("status %d after %d refreshes", res.StatusCode, p.Refreshes())
				}
			})
		})
	}
}

// The wait for a token has the same limit as in a token request.
func TestProxyTokenIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &scripted{token: func(ctx context.Context, _ agent.TokenRequest) (agent.Token, error) {
			<-ctx.Done()
			return agent.Token{}, ctx.Err()
		}}
		f := newFlowOf(t, service, func(http.ResponseWriter, *http.Request) { t.Error("the API was asked") })
		began := time.Now()
		a := ask(t, f.Listener, toAPI("POST", "/", "{}"))
		if p := a.problem(t); p.Code != agent.CodeUnavailable || time.Since(began) != tokenTimeout {
			t.Errorf("%d %s after %s", a.StatusCode, a.body, time.Since(began))
		}
	})
}

// A small body is read first, within the deadline of every request.
func TestProxyHalfASmallBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(t, func(http.ResponseWriter, *http.Request) { t.Error("the API was asked") })
		began := time.Now()
		a := ask(t, f.Listener, toAPI("POST", "/", "", "Content-Length: 5")+"{")
		if p := a.problem(t); p.Code != agent.CodeUsage || !strings.Contains(p.Detail, "did not arrive whole") || time.Since(began) != readTimeout {
			t.Errorf("%d %s after %s", a.StatusCode, a.body, time.Since(began))
		}
	})
}

// The deadlines of one request do not apply to the next one.
func TestProxyConnectionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
		c := dial(t, f.Listener)
		for i := range 4 {
			raws := []string{
				toAPI("POST", "/", "hello"), toAPI("POST", "/", "", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n",
				toAPI("POST", "/", strings.Repeat("x", wire.MaxBody+1)),
			}
			if i == 0 { // afterwards the agent itself is not asked on this connection
				raws = slices.Repeat([]string{rawRequest("GET", "/v1/token?env=staging", "")}, 3)
			}
			for _, raw := range raws {
				if a := exchangeOn(t, c, raw); a.StatusCode != http.StatusOK || a.Close {
					t.Fatalf("%d %v", a.StatusCode, a.Header)
				}
				time.Sleep(idleTimeout - time.Second)
			}
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("an idle connection: %d, %v", n, err)
		}
	})
}
