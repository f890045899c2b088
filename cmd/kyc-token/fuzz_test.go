package main

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzAnswer: an answer that was cut off anywhere never passes for a whole one.
func FuzzAnswer(f *testing.F) {
	f.Add(ok(artefact), uint(10))
	f.Add(say("401 Unauthorized", "prod: not signed in\n"), uint(3))
	f.Add("HTTP/1.1 200 OK\r\ncontent-length:\t2 \r\nContent-Length: 2\r\n\r\nx\n", uint(1))
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n", uint(0))
	f.Fuzz(func(t *testing.T, raw string, cut uint) {
		a, err := parseAnswer(raw, true)
		if err != nil {
			return
		}
		text, err := a.result(false)
		if err != nil {
			if exit := asFailure(err).exit; exit == exitOK {
				t.Errorf("a failure with exit code 0: %v", err)
			}
			return
		}
		if !strings.HasSuffix(raw, text) || !strings.HasSuffix(text, "\n") {
			t.Errorf("%q gives %q", raw, text)
		}
		if early, err := parseAnswer(raw, false); err != nil || early != a {
			t.Errorf("without its end %q gives %v, %v", raw, early, err)
		}
		part := raw[:cut%uint(len(raw))]
		if a, err := parseAnswer(part, true); err == nil {
			if text, err := a.result(false); err == nil {
				t.Errorf("the part %q gives %q", part, text)
			}
		}
	})
}

// FuzzArguments: whatever the arguments, the agent reads back the same values, and
// -f curl is seen even beside an error.
func FuzzArguments(f *testing.F) {
	f.Add("-f\x00curl\x00prod")
	f.Add("--min-valid=5m\x00a b&env=x\r\n\r\nGET / HTTP/1.0\x00--\x00-x")
	f.Add("-x\x00\x00-socket\x00--\x00")
	f.Add("get\x00prod")
	f.Add("-f\x00k8s\x00exec\x00prod\x00--\x00true")
	f.Fuzz(func(t *testing.T, joined string) {
		args := strings.Split(joined, "\x00")
		o, err := parse(modeToken, args)
		others := slices.DeleteFunc(slices.Clone(args), isFormat)
		if first, _ := parse(modeToken, append([]string{"-f", "curl"}, others...)); first.format != "curl" {
			t.Errorf("%q: -f curl in front is not seen", args)
		}
		if last, _ := parse(modeToken, append(others, "-f", "curl")); last.format != "curl" && !slices.Contains(others, "--") {
			t.Errorf("%q: -f curl at the end is not seen", args)
		}
		if err != nil {
			return
		}
		raw, err := o.request("a\x00\r\n\r\nb")
		if err != nil {
			return
		}
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		body, _ := io.ReadAll(req.Body)
		q := req.URL.Query()
		same := q.Get("env") == o.environment && q.Get("min_valid") == o.minValid && q.Get("operation") == o.operation &&
			req.Host == "kyc-agent" && req.Header.Get("Accept") == "text/plain"
		if protocol := o.protocol("x"); protocol == "" {
			same = same && q.Get("format") == o.format && req.URL.Path == "/v1/token" && len(req.Header) == 1
		} else {
			same = same && req.URL.Path == "/v1/helper/"+protocol && string(body) == "a\x00\r\n\r\nb"
		}
		if !same {
			t.Errorf("%+v reads back as %v, %q", o, req, body)
		}
	})
}

func isFormat(arg string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	return name == "f" || name == "format"
}

// FuzzClean: nothing that comes out can steer a terminal.
func FuzzClean(f *testing.F) {
	f.Add("\x1b[2J\xff\u202e\nx")
	f.Add(strings.Repeat("ü", 2000))
	f.Fuzz(func(t *testing.T, text string) {
		out := clean(text)
		if !utf8.ValidString(out) || len(out) > maxLine+utf8.UTFMax || strings.ContainsFunc(out, unicode.IsControl) {
			t.Errorf("%q gives %q", text, out)
		}
	})
}
