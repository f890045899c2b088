package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

const gigabyte = 1 << 30

// However long a body is, in either direction, the daemon as it is shipped holds
// little of it.
func TestProxyMemory(t *testing.T) {
	testpeer.Slow(t)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(anything{}, gigabyte), make([]byte, 1<<20))
			return
		}
		n, _ := drain(r.Body)
		fmt.Fprint(w, n)
	}))
	defer api.Close()
	h := newFixture(t)
	h.env = append(h.env, "KYC_STAGING_API_URL="+api.URL)
	cmd := exec.Command(testpeer.Build(t, "kyc-agentd"), "serve", "--store", "memory")
	cmd.Env, cmd.Stderr = append([]string{}, h.env...), &logBuffer{t: t}
	d := h.launched(cmd)
	h.login()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", h.socket())
	}}}
	upload := func(n int64) {
		res, err := client.Post("http://staging/", "", io.LimitReader(anything{}, n))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if got, err := io.ReadAll(res.Body); string(got) != strconv.FormatInt(n, 10) || err != nil {
			t.Fatalf("of %d bytes the API got %q, %v", n, got, err)
		}
	}
	upload(1) // what the first request of all needs is not at stake
	before := procMemory(t, d.Process.Pid, "VmRSS")
	upload(gigabyte)
	afterUpload := procMemory(t, d.Process.Pid, "VmHWM")
	res, err := client.Get("http://staging/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := drain(res.Body); n != gigabyte || err != nil {
		t.Fatalf("downloaded %d bytes, %v", n, err)
	}
	after := procMemory(t, d.Process.Pid, "VmHWM")
	t.Logf("resident: %d KB before, at most %d KB by the end of the upload and %d KB by the end of the download", before, afterUpload, after)
	if grown := after - before; grown > 20<<10 {
		t.Errorf("the daemon grew by %d KB", grown)
	}
}

// anything is an endless body whose bytes do not matter.
type anything struct{}

func (anything) Read(p []byte) (int, error) { return len(p), nil }

// drain counts what is left of r, a megabyte at a time.
func drain(r io.Reader) (total int64, err error) {
	buf := make([]byte, 1<<20)
	for err == nil {
		var n int
		n, err = r.Read(buf)
		total += int64(n)
	}
	if err == io.EOF {
		err = nil
	}
	return total, err
}

// procMemory is a figure of /proc/PID/status, in KB.
func procMemory(t *testing.T, pid int, name string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "\n"+name+":")
	kb, err := strconv.Atoi(strings.Fields(after + " 0")[0])
	if err != nil || kb == 0 {
		t.Fatalf("no %s in the status of the daemon", name)
	}
	return kb
}
