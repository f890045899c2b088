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

// secretService does the reading and writing by go-keyring, and asks the service
// itself what go-keyring does not: whether it is locked, and what items there are.
type secretService struct {
	svc        *ss.SecretService
	collection dbus.ObjectPath
	prompt     bool
}

// newBackend finds the collection that go-keyring uses. When it may not prompt, a
// locked one is an error here: go-keyring's next step would be to have the service
// put up a dialog, on nobody's request.
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

// findCollection is go-keyring's choice: the collection "login" if there is one,
// else the default.
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

// checkUnlocked returns codeLocked for a locked collection or item unless a prompt
// may unlock it.
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
	// KeePassXC locks single items too.
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

// keys reads the user names of our items.
func (b *secretService) keys() ([]string, error) {
	if b.prompt {
		// A locked collection knows its items' attributes only by their hashes.
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

// property reads one property of an object of the service's.
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

// explain turns an error of go-keyring's or the bus's into a fault. Of the former
// only ErrNotFound has a type; the text about unlocking is all there is when a
// prompt was dismissed or could not be shown. Of a D-Bus error the message is left
// out: it is the other side's, which knows the value.
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

// codeOfName tells the D-Bus errors that say nobody is there.
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
