package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The arguments with which bench runs itself as a proxy: one with the agent's timeouts, and one
// that is [httputil.ReverseProxy] and nothing else.
const (
	baselineProxyVerb = "baseline-proxy"
	plainProxyVerb    = "plain-proxy"
)

// apiRequest is the request to the API, the same with every proxy and without one.
const (
	apiBody    = `{"name":"Ivan Exampletov","birth_date":"1970-01-01"}`
	apiAnswer  = `{"name":"Ivan Exampletov","status":"match","matches":[]}` + "\n"
	apiRequest = "POST /kyc HTTP/1.1\r\nHost: staging\r\nContent-Type: application/json\r\nContent-Length: 52\r\n\r\n" + apiBody
)

// For an agent that paces: a rate that never holds a request back, and an API below pacedPath that
// tells its limit.
const (
	apiRate   = "100000/1s"
	pacedPath = "/paced"
)

// proxyPart compares requests to an API on loopback: through the agent's proxy on its own
// socket, on one with a policy and with pacing, through a bare proxy and without one.
func proxyPart(ctx context.Context, h *harness, p plan) (section, error) {
	s := section{
		title: "Requests to the API",
		about: fmt.Sprintf("A small POST to an API on loopback: straight to it, through the agent's proxy, which adds the token, through it on a socket "+
			"with a policy (one method, one path), through that of an agent with an api_rate (%s) and an API that tells its limit in three headers, "+
			"and through a bare httputil.ReverseProxy on a Unix socket, with the agent's timeouts, its check of the peer and a token of the same length. "+
			"Last, ReverseProxy alone: without timeouts, and with a token of 5 bytes. "+
			"Connections are kept. %d times %s; clients, API and proxy share the cores.", apiRate, p.repeats, p.turns()),
		head: []string{"clients", "way", "requests/s", "p50 µs", "p99 µs", "added to p50, µs", "× bare"},
	}
	api, err := serveAPI()
	if err != nil {
		return s, err
	}
	defer api.Close()
	h.apiURL = "http://" + api.Addr
	d, err := h.newSignedIn(ctx, "proxy")
	if err != nil {
		return s, err
	}
	defer d.process.stop()
	token, err := d.token(ctx, "staging")
	if err != nil {
		return s, err
	}
	baseline, err := h.startBaseline(ctx, baselineProxyVerb, h.apiURL+"\n"+strings.TrimSpace(token)+"\n")
	if err != nil {
		return s, err
	}
	plain, err := h.startBaseline(ctx, plainProxyVerb, h.apiURL+"\nbench\n")
	if err != nil {
		return s, err
	}
	h.apiURL, h.apiRate = h.apiURL+pacedPath, apiRate
	paced, err := h.newSignedIn(ctx, "paced")
	if err != nil {
		return s, err
	}
	defer paced.process.stop()
	h.apiRate = ""
	for _, clients := range []int{1, 16, 256} {
		ways := []*server{
			{name: "straight", socket: api.Addr}, {name: "bare proxy", socket: baseline}, {name: "kyc-agentd", socket: d.socket},
			{name: "kyc-agentd, policy", socket: h.path("proxy/sockets/" + policySocket + "/agent.sock")}, {name: "kyc-agentd, paced", socket: paced.socket},
			{name: "ReverseProxy alone", socket: plain},
		}
		if err := takeTurns(ctx, ways, apiRequest, clients, p); err != nil {
			return s, err
		}
		s.proxyRows(ways, clients)
	}
	return s, nil
}

// newSignedIn starts an agent whose environment staging is signed in.
func (h *harness) newSignedIn(ctx context.Context, name string) (*daemon, error) {
	d, err := h.newDaemon(ctx, name, "memory")
	if err != nil {
		return nil, err
	}
	if err := d.login(ctx, "staging"); err != nil {
		d.process.stop()
		return nil, err
	}
	return d, nil
}

func (s *section) proxyRows(ways []*server, clients int) {
	straight, baseline := ways[0].times.median(), ways[1].rates
	for i, v := range ways {
		added, ratio := "–", "–"
		if i > 0 {
			added, ratio = micros(v.times.median()-straight), ratios(v.rates, baseline).String()
		}
		s.rows = append(s.rows, []string{
			fmt.Sprint(clients), v.name, fmt.Sprintf("%.0f", v.perSecond()),
			micros(v.times.median()), micros(v.times.at(0.99)), added, ratio,
		})
	}
	if own := ratios(ways[2].rates, baseline); clients <= 16 {
		s.target(fmt.Sprintf("Requests to the API, %d clients: %s × a bare proxy, target 0.95 at least", clients, own), own.median() >= 0.95)
	}
	if clients <= 16 {
		s.notes = append(s.notes, fmt.Sprintf("Requests to the API, %d clients: %s × ReverseProxy alone; with pacing it makes %s × the requests of one without.",
			clients, ratios(ways[2].rates, ways[5].rates), ratios(ways[4].rates, ways[2].rates)))
	}
	if clients == 1 {
		s.notes = append(s.notes, fmt.Sprintf("To a single request the agent's proxy adds %s µs (p50), the bare one %s µs.",
			micros(ways[2].times.median()-straight), micros(ways[1].times.median()-straight)))
	}
}

// serveAPI serves an API that does no work. Its address is the Addr of the result.
func serveAPI() (*http.Server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	limit, reset := []string{"1000000000"}, []string{strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)}
	s := &http.Server{Addr: ln.Addr().String(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(r.URL.Path, pacedPath) {
			w.Header()["X-Ratelimit-Limit"], w.Header()["X-Ratelimit-Remaining"], w.Header()["X-Ratelimit-Reset"] = limit, limit, reset
		}
		_, _ = io.WriteString(w, apiAnswer)
	})}
	go func() { _ = s.Serve(ln) }()
	return s, nil
}

// serveBaselineProxy forwards every request on socket to the URL read from in, adds the token
// behind it, keeps connections as the agent does, and has its timeouts.
func serveBaselineProxy(socket string, in io.Reader, out io.Writer) error {
	proxy, transport, err := newReverseProxy(in)
	if err != nil {
		return err
	}
	transport.ResponseHeaderTimeout = 2 * time.Minute
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	return serveAsAgent(ln, proxy)
}

// servePlainProxy does so without timeouts and without a check of the peer.
func servePlainProxy(socket string, in io.Reader, out io.Writer) error {
	proxy, _, err := newReverseProxy(in)
	if err != nil {
		return err
	}
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	return http.Serve(ln, proxy)
}

func newReverseProxy(in io.Reader) (*httputil.ReverseProxy, *http.Transport, error) {
	lines := bufio.NewScanner(in)
	lines.Scan()
	target, err := url.Parse(lines.Text())
	if err != nil {
		return nil, nil, err
	}
	lines.Scan()
	token := "Bearer " + lines.Text()
	transport := &http.Transport{MaxIdleConns: 128, MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second, DisableCompression: true}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set("Authorization", token)
		},
		Transport: transport,
	}, transport, lines.Err()
}
