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
	"strings"
	"time"
)

// baselineProxyVerb is the argument with which bench runs itself as the baseline proxy.
const baselineProxyVerb = "baseline-proxy"

// apiRequest is the request to the API, the same with every proxy and without one.
const (
	apiBody    = `{"name":"Ivan Exampletov","birth_date":"1970-01-01"}`
	apiAnswer  = `{"name":"Ivan Exampletov","status":"match","matches":[]}` + "\n"
	apiRequest = "POST /kyc HTTP/1.1\r\nHost: staging\r\nContent-Type: application/json\r\nContent-Length: 52\r\n\r\n" + apiBody
)

// proxyPart compares requests to an API on loopback: through the agent's proxy on its own
// socket and on one with a policy, through a bare proxy and without one.
func proxyPart(ctx context.Context, h *harness, p plan) (section, error) {
	s := section{
		title: "Requests to the API",
		about: fmt.Sprintf("A small POST to an API on loopback: straight to it, through the agent's proxy, which adds the token, through it on a socket "+
			"with a policy (one method, one path), and through a bare httputil.ReverseProxy on a Unix socket. Connections are kept. %d times %d turns of %v each, in shuffled order; clients, API and proxy share the cores.",
			p.repeats, p.slices, p.slice),
		head: []string{"clients", "way", "requests/s", "p50 µs", "p99 µs", "added to p50, µs", "× bare"},
	}
	api, err := serveAPI()
	if err != nil {
		return s, err
	}
	defer api.Close()
	h.apiURL = "http://" + api.Addr
	d, err := h.newDaemon(ctx, "proxy", "memory")
	if err != nil {
		return s, err
	}
	defer d.process.stop()
	if err := d.login(ctx, "staging"); err != nil {
		return s, err
	}
	baseline, err := h.startBaseline(ctx, baselineProxyVerb, h.apiURL+"\n")
	if err != nil {
		return s, err
	}
	for _, clients := range []int{1, 16, 256} {
		ways := []*server{
			{name: "straight", socket: api.Addr}, {name: "bare proxy", socket: baseline}, {name: "kyc-agentd", socket: d.socket},
			{name: "kyc-agentd, policy", socket: h.path("proxy/sockets/" + policySocket + "/agent.sock")},
		}
		if err := takeTurns(ctx, ways, apiRequest, clients, p); err != nil {
			return s, err
		}
		s.proxyRows(ways, clients)
	}
	return s, nil
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
	s := &http.Server{Addr: ln.Addr().String(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, apiAnswer)
	})}
	go func() { _ = s.Serve(ln) }()
	return s, nil
}

// serveBaselineProxy forwards every request on socket to the URL read from in, adds a
// header, and keeps connections as the agent does.
func serveBaselineProxy(socket string, in io.Reader, out io.Writer) error {
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		return err
	}
	target, err := url.Parse(strings.TrimSpace(line))
	if err != nil {
		return err
	}
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	return http.Serve(ln, &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set("Authorization", "Bearer bench")
		},
		Transport: &http.Transport{MaxIdleConns: 128, MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second, DisableCompression: true},
	})
}
