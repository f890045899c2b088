package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// dialFailure explains why kyc-token could not connect.
func (p process) dialFailure(a address, err error) error {
	if e, ok := err.(*os.SyscallError); ok { // from making the socket, so not the agent's fault
		if e.Err == syscall.EAFNOSUPPORT || e.Err == syscall.EPERM {
			return failure{exitUnavailable, "cannot make a socket: " + e.Err.Error() + "; a unit needs RestrictAddressFamilies=AF_UNIX and SystemCallFilter=@network-io"}
		}
		return failure{exitTemporary, "cannot make a socket: " + e.Err.Error() + "; close some programs, or raise the limit (ulimit -n), then try again"}
	}
	if err == syscall.EAGAIN {
		return failure{exitTemporary, a.path + ": the agent accepted no connection in time; try again"}
	}
	if p.hidden(a.path) {
		return failure{exitUnavailable, a.path + " is hidden from this unit by ProtectHome=; add to it: ProtectHome=tmpfs and BindPaths=" + folderOf(a.path)}
	}
	if what := misnamed(a.path); what != "" {
		return failure{exitUnavailable, a.path + " " + what + "; " + checkSocket}
	}
	switch err {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ECONNREFUSED:
		return failure{exitUnavailable, "no agent answers on " + a.path + "; " + a.next()}
	case syscall.EACCES, syscall.EPERM:
		return failure{exitDenied, a.path + ": permission denied; " + deniedHint() + p.foreignOwner(a.path)}
	}
	return failure{exitUnavailable, "no agent answers on " + a.path + ": " + err.Error() + "; " + a.next()}
}

// next is the command that helps where nothing answers. At systemd's path a restart of the
// socket unit does, also if the unit is active and the socket was removed. Elsewhere it
// would only end the agent that runs.
func (a address) next() string {
	switch a.from {
	case "":
		return "run: " + startCommand
	case "-socket":
		return "run: kyc-agentd serve --socket " + a.path + ", or leave out -socket"
	}
	return "run: kyc-agentd serve, or unset " + a.from
}

// misnamed says what is wrong with a path at which no agent can be; mostly "". It holds the
// rule for kyc-token; ipc/socket has that for the agent.
func misnamed(path string) string {
	switch {
	case path[0] == '/':
	case strings.Contains(path, ":/"):
		return "is a URL, and a path is needed"
	case strings.IndexByte("~$%", path[0]) >= 0:
		return "begins with " + path[:1] + ", which is not replaced here, and a path begins with /"
	default:
		return "is a relative path: it names another socket in every folder"
	}
	var at syscall.Stat_t
	if err := syscall.Stat(path, &at); err == syscall.ELOOP {
		return "is a symbolic link that leads to itself"
	} else if err != nil {
		if syscall.Lstat(path, &at) == nil {
			return "is a symbolic link to nothing"
		}
		return ""
	}
	switch at.Mode & syscall.S_IFMT {
	case syscall.S_IFSOCK:
		return ""
	case syscall.S_IFDIR:
		return "is a folder; " + strings.TrimRight(path, "/") + "/agent.sock is meant"
	case syscall.S_IFREG:
		return "is a file, not a socket"
	case syscall.S_IFIFO:
		return "is a pipe, not a socket"
	}
	return "is a device, not a socket"
}

// foreignOwner names the user to whom a socket belongs that is not this user's.
func (p process) foreignOwner(path string) string {
	var at syscall.Stat_t
	if syscall.Stat(path, &at) != nil || int(at.Uid) == p.uid {
		return ""
	}
	return " (it belongs to user id " + strconv.Itoa(int(at.Uid)) + ")"
}

// hidden reports whether this process is in a unit that does not see /run/user, where path
// is: systemd mounts something else there, or closes /run.
func (p process) hidden(path string) bool {
	if p.getenv("INVOCATION_ID") == "" || !strings.HasPrefix(path, "/run/user/") {
		return false
	}
	var run, user syscall.Stat_t
	if err := syscall.Stat("/run/user", &user); err != nil {
		return err == syscall.EACCES
	}
	return syscall.Stat("/run", &run) == nil && (user.Dev != run.Dev || user.Mode&0o777 == 0)
}

func folderOf(path string) string { return path[:strings.LastIndexByte(path, '/')] }

// failure explains why the program at the other end gave no usable answer. A program that
// is silent may be a slow agent, whatever its name.
func (c conn) failure(path string, err error) error {
	if name := c.foreignProgram(); err != syscall.EAGAIN && name != "" {
		return failure{exitConfig, path + " is not kyc-agentd's socket: " + name + " answers there; " + checkSocket}
	}
	return answerFailure(path, err)
}

// answerFailure explains why there is no usable answer.
func answerFailure(path string, err error) error {
	switch err {
	case syscall.EAGAIN:
		return failure{exitTemporary, path + ": the agent did not answer in time; try again, and see: kyc-agentd status"}
	case syscall.ECONNRESET:
		err = errIncomplete
	}
	if f, ok := err.(failure); ok {
		return failure{f.exit, path + ": the answer " + f.text}
	}
	return failure{exitTemporary, path + ": " + err.Error() + "; try again"}
}
