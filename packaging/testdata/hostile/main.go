// Command hostile is somebody else's code in a container that has the agent's extra socket.
// It tries what it must not be able to do, and prints a line for each thing that it could,
// and one with the number of tries.
//
//	hostile FOLDER [api]
//
// With api the folder is that of a socket for the API of staging alone, for GET and POST of /kyc
// and of what is below /kyc/watchlists.
package main

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var tries, done int

// try counts an attempt, and prints it if it worked.
func try(what string, worked bool) {
	tries++
	if worked {
		done++
		fmt.Println("could:", what)
	}
}

func main() {
	folder := os.Args[1]
	socket := filepath.Join(folder, "agent.sock")
	if len(os.Args) > 2 {
		allowed(socket, "POST /kyc {}", "staging")
		overTheAPISocket(socket)
	} else {
		allowed(socket, "GET /v1/token?env=staging&format=token", "kyc-agent")
		overTheSocket(socket)
		for _, host := range []string{"staging", "prod"} {
			try("the API through "+host, !strings.Contains(ask(socket, "GET /kyc", host), "Kyc-Error: denied") &&
				!strings.HasPrefix(ask(socket, "GET /kyc", host), "HTTP/1.1 4"))
		}
	}
	aroundIt()
	throughProc()
	inTheFolder(folder, socket) // last: it may replace the socket
	fmt.Printf("%d of %d\n", done, tries)
}

// allowed ends the program if what the socket is for does not work.
func allowed(socket, request, host string) {
	if head := ask(socket, request, host); !strings.HasPrefix(head, "HTTP/1.1 200") {
		fmt.Println(request+":", head)
		os.Exit(1)
	}
}

// overTheAPISocket asks for what a socket for the API must refuse.
func overTheAPISocket(socket string) {
	overTheSocket(socket)
	for _, request := range []string{
		"GET /v1/token", "GET /v1/token?env=staging", "GET /v1/token?env=staging&format=curl", "GET /v1/token?env=staging&format=env",
		"POST /v1/helper/git {}", "POST /v1/logout {\"environment\":\"staging\"}",
		"POST /v1/login {\"environment\":\"staging\",\"api_key\":\"sk_attacker\"}",
	} {
		try(request, strings.HasPrefix(ask(socket, request, "kyc-agent"), "HTTP/1.1 200"))
	}
	for _, request := range []string{"DELETE /kyc/watchlists/7", "GET /users", "GET /kyc/watchlists", "GET /kyc/%2e%2e/users", "GET /kyc/watchlists/../users"} {
		try(request+" of the API", !strings.HasPrefix(ask(socket, request, "staging"), "HTTP/1.1 4"))
	}
	try("the API of prod", !strings.HasPrefix(ask(socket, "GET /kyc", "prod"), "HTTP/1.1 4"))
}

// overTheSocket asks for what each socket with a policy must refuse.
func overTheSocket(socket string) {
	for _, request := range []string{
		"GET /v1/token?env=prod", "GET /v1/token?env=staging&format=aws", "GET /v1/token?env=staging&type=access", "GET /v1/metrics",
		"POST /v1/logout {\"environment\":\"prod\",\"scope\":\"local\"}", "POST /v1/reload {}",
		"POST /v1/login {\"environment\":\"prod\",\"api_key\":\"sk_attacker\"}",
		"POST /v1/account {\"environment\":\"prod\",\"action\":\"reset-password\",\"username\":\"ana\"}",
	} {
		try(request, strings.HasPrefix(ask(socket, request, "kyc-agent"), "HTTP/1.1 200"))
	}
}

// ask sends one request, "METHOD PATH BODY", and returns the head of the answer.
func ask(socket, request, host string) string {
	c, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	parts := append(strings.SplitN(request, " ", 3), "")
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		parts[0], parts[1], host, len(parts[2]), parts[2])
	var head strings.Builder
	for in := bufio.NewScanner(c); in.Scan() && in.Text() != ""; {
		head.WriteString(in.Text() + "\n")
	}
	return head.String()
}

// aroundIt looks for the agent's other files in the whole container.
func aroundIt() {
	found := map[string]bool{}
	_ = filepath.WalkDir("/", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fs.SkipDir
		case path == "/proc", path == "/sys":
			return fs.SkipDir
		case d.Name() == "agent.sock", d.Name() == "agent.extra.sock", strings.HasSuffix(path, ".jwt"), strings.HasSuffix(path, "kyc-agent/config.toml"), d.Name() == "store.key":
			found[path] = true
		}
		return nil
	})
	delete(found, filepath.Join(os.Args[1], "agent.sock"))
	for _, name := range []string{"agent.sock", "agent.extra.sock", ".jwt", "config.toml", "store.key"} {
		at := ""
		for path := range found {
			if strings.HasSuffix(path, name) {
				at = path
			}
		}
		try("see "+at, at != "")
		if name == "agent.sock" {
			head := "HTTP/1.1 403"
			if at != "" {
				head = ask(at, "POST /v1/login {\"environment\":\"prod\",\"api_key\":\"sk_attacker\"}", "kyc-agent")
			}
			try("sign in at "+at, strings.HasPrefix(head, "HTTP/1.1 200"))
		}
	}
}

// throughProc reaches for other processes: their roots, and the agent itself.
func throughProc() {
	var reached, killed string
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if e.Name()[0] < '0' || e.Name()[0] > '9' {
			continue
		}
		if _, err := os.Stat("/proc/" + e.Name() + "/root/run/user"); err == nil {
			reached = e.Name()
		}
		comm, _ := os.ReadFile("/proc/" + e.Name() + "/comm")
		var pid int
		_, _ = fmt.Sscan(e.Name(), &pid)
		if strings.TrimSpace(string(comm)) == "kyc-agentd" && syscall.Kill(pid, 0) == nil {
			killed = e.Name()
		}
	}
	try("the root of process "+reached, reached != "")
	try("end the agent, process "+killed, killed != "")
}

// inTheFolder tries to take the agent's place.
func inTheFolder(folder, socket string) {
	try("remount the folder", syscall.Mount("", folder, "", syscall.MS_REMOUNT|syscall.MS_BIND, "") == nil)
	try("unmount the folder", syscall.Unmount(folder, syscall.MNT_DETACH) == nil)
	try("chmod the folder", os.Chmod(folder, 0o777) == nil)
	try("chmod the socket", os.Chmod(socket, 0o777) == nil)
	library := filepath.Join(folder, "lib.so")
	try("leave a file in the folder", os.WriteFile(library, []byte("x"), 0o700) == nil)
	try("link the socket", os.Link(socket, filepath.Join(folder, "other.sock")) == nil)
	try("rename the socket", os.Rename(socket, filepath.Join(folder, "old.sock")) == nil)
	_ = os.Remove(filepath.Join(folder, "old.sock"))
	_, err := os.Lstat(socket)
	try("remove the socket", os.Remove(socket) == nil || err != nil)
	ln, err := net.Listen("unix", socket)
	try("listen in the agent's place", err == nil)
	if err == nil {
		go func() {
			if c, err := ln.Accept(); err == nil {
				_, _ = io.Copy(io.Discard, c)
			}
		}()
	}
	_, err = os.OpenFile(filepath.Join(filepath.Dir(folder), "agent.sock.lock"), os.O_RDONLY, 0)
	try("open the agent's lock", err == nil)
}
