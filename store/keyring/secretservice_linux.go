package keyring

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
	gokeyring "github.com/zalando/go-keyring"
	ss "github.com/zalando/go-keyring/secret_service"

	"github.com/legaltalent/kyc-agent/store"
)

const provider = "Secret Service"

// Names of the Secret Service API, see https://specifications.freedesktop.org/secret-service.
const (
	busName         = "org.freedesktop.secrets"
	servicePath     = "/org/freedesktop/secrets"
	loginCollection = "/org/freedesktop/secrets/collection/login"
	serviceIface    = "org.freedesktop.Secret.Service"
	collectionIface = "org.freedesktop.Secret.Collection"
	itemIface       = "org.freedesktop.Secret.Item"
)

// secretService reads and writes with go-keyring. It asks the service directly for what
// go-keyring cannot report: whether it is locked, and which items there are.
type secretService struct {
	svc        *ss.SecretService
	collection dbus.ObjectPath
	prompt     bool
}

// newBackend finds the collection that go-keyring uses. If prompting is not allowed and
// the collection is locked, it fails: otherwise go-keyring would make the service open a
// dialog that nobody asked for.
func newBackend(prompt bool) (backend, error) {
	svc, err := ss.NewSecretService()
	if err != nil {
		return nil, &backendError{code: codeNoBus, detail: err.Error()}
	}
	b := &secretService{svc: svc, prompt: prompt}
	if b.collection, err = b.findCollection(); err != nil {
		return nil, err
	}
	if err := b.checkUnlocked(b.collection, collectionIface); err != nil {
		return nil, err
	}
	return b, nil
}

// findCollection returns the collection that go-keyring chooses: "login" if there is
// one, else the default.
func (b *secretService) findCollection() (dbus.ObjectPath, error) {
	all, err := property[[]dbus.ObjectPath](b, servicePath, serviceIface+".Collections")
	if err != nil {
		return "", err
	}
	if slices.Contains(all, loginCollection) {
		return loginCollection, nil
	}
	var path dbus.ObjectPath
	err = b.object(servicePath).Call(serviceIface+".ReadAlias", 0, "default").Store(&path)
	if err != nil {
		return "", b.explain(err)
	}
	if path == "/" || path == "" { // how the API says "none"
		return "", &backendError{code: codeNoCollection}
	}
	return path, nil
}

// checkUnlocked returns codeLocked if a collection or item is locked and prompting is
// not allowed.
func (b *secretService) checkUnlocked(path dbus.ObjectPath, iface string) error {
	if b.prompt {
		return nil
	}
	locked, err := property[bool](b, path, iface+".Locked")
	if err == nil && locked {
		err = &backendError{code: codeLocked}
	}
	return err
}

func (b *secretService) get(key string) ([]byte, error) {
	// KeePassXC can also lock single items.
	items, err := b.search(map[string]string{"service": service, "username": key})
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if err := b.checkUnlocked(item, itemIface); err != nil {
			return nil, err
		}
	}
	value, err := gokeyring.Get(service, key)
	return []byte(value), b.explain(err)
}

func (b *secretService) put(key string, value []byte) error {
	return b.explain(gokeyring.Set(service, key, string(value)))
}

func (b *secretService) delete(key string) error {
	err := gokeyring.Delete(service, key)
	if errors.Is(err, gokeyring.ErrNotFound) {
		return nil
	}
	return b.explain(err)
}

// keys returns the user names of the agent's items.
func (b *secretService) keys() ([]string, error) {
	if b.prompt {
		// A locked collection stores only hashes of its items' attributes.
		if err := b.svc.Unlock(b.collection); err != nil {
			return nil, b.explain(err)
		}
	}
	items, err := b.search(map[string]string{"service": service})
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, item := range items {
		attributes, err := property[map[string]string](b, item, itemIface+".Attributes")
		if err != nil {
			return nil, err
		}
		if key := attributes["username"]; store.ValidKey(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil
}

func (b *secretService) search(attributes map[string]string) ([]dbus.ObjectPath, error) {
	items, err := b.svc.SearchItems(b.object(b.collection), attributes)
	return items, b.explain(err)
}

func (b *secretService) object(path dbus.ObjectPath) dbus.BusObject {
	return b.svc.Object(busName, path)
}

// property reads one property of an object of the service.
func property[T any](b *secretService, path dbus.ObjectPath, name string) (T, error) {
	v, err := b.object(path).GetProperty(name)
	if err != nil {
		return *new(T), b.explain(err)
	}
	value, ok := v.Value().(T)
	if !ok {
		return value, &backendError{code: codeFailed, detail: name + " is of another type than the Secret Service API says"}
	}
	return value, nil
}

// explain turns an error of go-keyring or of the bus into a backendError. When a prompt
// was dismissed or could not be shown, go-keyring's error has no type and can be
// recognized only by its text. The message of a D-Bus error is left out: the service
// wrote it, and may quote the value in it.
func (b *secretService) explain(err error) error {
	if err == nil {
		return nil
	}
	f := &backendError{code: codeFailed, detail: err.Error()}
	if e, ok := errors.AsType[dbus.Error](err); ok {
		f.code, f.detail = codeOfName(e.Name), e.Name
	} else if _, ok := errors.AsType[*backendError](err); ok {
		return err
	} else if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, dbus.ErrClosed) || errors.Is(err, io.EOF) {
		f.code = codeNoBus
	} else if errors.Is(err, gokeyring.ErrNotFound) {
		f.code = codeNotFound
	} else if errors.Is(err, gokeyring.ErrSetDataTooBig) {
		f.code = codeTooBig
	} else if strings.Contains(f.detail, "failed to unlock correct collection") {
		f.code = b.lockedCode()
	}
	return f
}

func (b *secretService) lockedCode() code {
	if b.prompt {
		return codeDismissed
	}
	return codeLocked
}

// codeOfName returns the code for the name of a D-Bus error.
func codeOfName(name string) code {
	switch {
	case name == "org.freedesktop.DBus.Error.ServiceUnknown",
		name == "org.freedesktop.DBus.Error.NameHasNoOwner",
		strings.HasPrefix(name, "org.freedesktop.DBus.Error.Spawn."):
		return codeNoService
	case name == "org.freedesktop.Secret.Error.IsLocked":
		return codeLocked
	}
	return codeFailed
}
