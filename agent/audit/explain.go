package audit

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/legaltalent/kyc-agent/internal/durable"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// explain says in words why the log cannot be written, and what to type next.
func explain(dir string, err error) (message, hint string) {
	path := filepath.Join(dir, logName)
	cause := err.Error()
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		cause = e.Err.Error()
		if !filepath.IsAbs(e.Path) && e.Path != "" {
			path = filepath.Join(dir, e.Path)
		}
	}
	hint = "make it writable; the agent tries again with each request"
	switch _, stuck := errors.AsType[stuckError](err); {
	case stuck:
		hint = "see why the disk waits: dmesg; requests are answered again when it does"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		hint = "try again; the disk is slow"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		hint = "make room; the agent tries again with each request"
	case errors.Is(err, errNewer):
		hint = "install that version again, or move the files audit.* in " + dir + " away"
	case errors.Is(err, durable.Busy(lockName)):
		hint = "end the process that keeps it: fuser " + filepath.Join(dir, lockName)
	}
	return sanitize.OneLine("the audit log " + path + " cannot be written: " + cause), sanitize.OneLine(hint)
}
