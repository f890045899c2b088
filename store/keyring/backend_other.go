//go:build !linux

package keyring

import (
	"errors"
	"os/exec"
	"runtime"

	gokeyring "github.com/zalando/go-keyring"
)

var provider = map[string]string{"darwin": "macOS keychain", "windows": "Windows credential manager"}[runtime.GOOS]

func newBackend(bool) (backend, error) { return indexed{goKeyring{}}, nil }

// goKeyring is go-keyring without additions.
type goKeyring struct{}

func (goKeyring) get(key string) ([]byte, error) {
	value, err := gokeyring.Get(service, key)
	return []byte(value), explain(err)
}

func (goKeyring) put(key string, value []byte) error {
	return explain(gokeyring.Set(service, key, string(value)))
}

func (goKeyring) delete(key string) error {
	err := gokeyring.Delete(service, key)
	if errors.Is(err, gokeyring.ErrNotFound) {
		return nil
	}
	return explain(err)
}

func explain(err error) error {
	if err == nil {
		return nil
	}
	f := &backendError{code: codeFailed, detail: err.Error()}
	switch {
	case errors.Is(err, gokeyring.ErrNotFound):
		f.code = codeNotFound
	case errors.Is(err, gokeyring.ErrSetDataTooBig):
		f.code = codeTooBig
	case errors.Is(err, gokeyring.ErrUnsupportedPlatform):
		f.code = codeNoService
	default:
		if e, ok := errors.AsType[*exec.ExitError](err); ok && isLocked(e.ExitCode()) {
			f.code = codeLocked
		}
	}
	return f
}

// isLocked reports whether an exit code of security(1) means a locked keychain: it is the
// low byte of errSecInteractionNotAllowed (-25308), errSecAuthFailed (-25293) or
// errSecUserCanceled (-128).
func isLocked(exit int) bool { return exit == 36 || exit == 51 || exit == 128 }
