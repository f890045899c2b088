package main

import (
	"os"
	"strings"
	"syscall"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version string

// versionText returns version or, after `go install`, what the go command wrote into the
// program's file. debug.ReadBuildInfo says the same, but links 200 kB.
func versionText() string {
	if version == "" {
		path, _ := os.Executable()
		version = versionIn(contents(path))
	}
	return version
}

// versionIn finds the version in a program, in a line "mod\tMODULE\tVERSION\t".
func versionIn(program string) string {
	// This is in the program as well, but no line begins with it.
	const line = "mod\tgithub.com/legaltalent/kyc-agent\t"
	for {
		before, after, found := strings.Cut(program, line)
		if !found {
			return "(devel)"
		}
		if strings.HasSuffix(before, "\n") {
			v, _, _ := strings.Cut(after, "\t")
			return clean(v)
		}
		program = after
	}
}

// contents returns what a file contains, as far as it can be read.
func contents(path string) string {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	text := make([]byte, 8<<20)
	size := 0
	for {
		n, err := syscall.Read(fd, text[size:])
		if n <= 0 || err != nil {
			return string(text[:size])
		}
		size += n
	}
}
