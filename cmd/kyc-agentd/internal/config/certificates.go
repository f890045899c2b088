package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/strictmodes"
)

// CheckCertificates returns why another user can change which certificates the agent trusts:
// the files that SSL_CERT_FILE and SSL_CERT_DIR name. One that is missing is no error here. On
// macOS the system has the certificates, and Go does not look at these variables.
func CheckCertificates(vars Environ) error {
	if runtime.GOOS == "darwin" {
		return nil
	}
	var modes strictmodes.Checker
	for _, path := range certificates(vars) {
		if err := modes.Check(path); err != nil && !isPathError(err) {
			return Errorf("certificates: %v", err)
		}
	}
	return nil
}

func certificates(vars Environ) (paths []string) {
	if file := vars.Get("SSL_CERT_FILE"); file != "" {
		paths = append(paths, file)
	}
	for _, dir := range filepath.SplitList(vars.Get("SSL_CERT_DIR")) {
		if dir == "" {
			continue
		}
		paths = append(paths, dir)
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths
}

// isPathError reports whether a file could not be opened at all.
func isPathError(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return ok
}
