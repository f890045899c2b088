package keyring_test

import (
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/legaltalent/kyc-agent/store/keyring/keyringtest"
)

// A fakeService is a Secret Service with prompts, which gnome-keyring cannot show
// without a screen. It keeps one item, whose key is prod. Set the fields before serve.
type fakeService struct {
	collections any                                    // the property; nil means the login collection
	itemLocked  bool                                   // the item
	onPrompt    func(complete func(dismissed bool))    // nil: there are no prompts
	createItem  func(value string) (prompt, answerFor) // nil: keeps the value
	deleteAsks  bool                                   // Delete returns a prompt and does nothing

	conn *dbus.Conn

	mu      sync.Mutex
	locked  bool   // the collection
	value   string // the item's value; empty: there is no item
	unlocks int    // the calls of Unlock
}

func (f *fakeService) lock() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.locked = true
}

func (f *fakeService) unlockCalls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unlocks
}

type (
	prompt    = dbus.ObjectPath
	answerFor = *dbus.Error
)

const (
	none       = dbus.ObjectPath("/")
	theService = dbus.ObjectPath("/org/freedesktop/secrets")
	theLogin   = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	theItem    = dbus.ObjectPath("/org/freedesktop/secrets/collection/login/1")
	thePrompt  = dbus.ObjectPath("/org/freedesktop/secrets/prompt/1")
	theSession = dbus.ObjectPath("/org/freedesktop/secrets/session/1")
)

type wireSecret struct {
	Session     dbus.ObjectPath
	Parameters  []byte
	Value       []byte
	ContentType string
}

// serve takes the service's name on kr's bus.
func (f *fakeService) serve(t *testing.T, kr *keyringtest.Keyring) {
	t.Helper()
	f.conn = kr.Connect()
	t.Cleanup(func() { _ = f.conn.Close() })
	if f.collections == nil {
		f.collections = []dbus.ObjectPath{theLogin}
	}
	for _, o := range []struct {
		path  dbus.ObjectPath
		iface string
		calls map[string]any
	}{
		{theService, "org.freedesktop.Secret.Service", map[string]any{
			"OpenSession": f.openSession, "Unlock": f.unlock, "ReadAlias": f.readAlias,
		}},
		{theLogin, "org.freedesktop.Secret.Collection", map[string]any{"SearchItems": f.searchItems, "CreateItem": f.create}},
		{theItem, "org.freedesktop.Secret.Item", map[string]any{"GetSecret": f.getSecret, "Delete": f.deleteItem}},
		{thePrompt, "org.freedesktop.Secret.Prompt", map[string]any{"Prompt": f.prompt}},
		{theSession, "org.freedesktop.Secret.Session", map[string]any{"Close": func() answerFor { return nil }}},
		{theService, "org.freedesktop.DBus.Properties", map[string]any{"Get": f.property}},
		{theLogin, "org.freedesktop.DBus.Properties", map[string]any{"Get": f.property}},
		{theItem, "org.freedesktop.DBus.Properties", map[string]any{"Get": f.property}},
	} {
		if err := f.conn.ExportMethodTable(o.calls, o.path, o.iface); err != nil {
			t.Fatal(err)
		}
	}
	if reply, err := f.conn.RequestName("org.freedesktop.secrets", 0); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("take the name: %v, %v", reply, err)
	}
}

func (f *fakeService) property(iface, name string) (dbus.Variant, answerFor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch iface + "." + name {
	case "org.freedesktop.Secret.Service.Collections":
		return dbus.MakeVariant(f.collections), nil
	case "org.freedesktop.Secret.Collection.Locked":
		return dbus.MakeVariant(f.locked), nil
	case "org.freedesktop.Secret.Item.Locked":
		return dbus.MakeVariant(f.itemLocked), nil
	case "org.freedesktop.Secret.Item.Attributes":
		return dbus.MakeVariant(map[string]string{"service": "kyc-agent", "username": "prod"}), nil
	}
	return dbus.Variant{}, dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", nil)
}

func (f *fakeService) openSession(string, dbus.Variant) (dbus.Variant, dbus.ObjectPath, answerFor) {
	return dbus.MakeVariant(""), theSession, nil
}

func (f *fakeService) readAlias(string) (dbus.ObjectPath, answerFor) { return theLogin, nil }

func (f *fakeService) unlock(paths []dbus.ObjectPath) ([]dbus.ObjectPath, prompt, answerFor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unlocks++
	if f.locked {
		return nil, thePrompt, nil
	}
	return paths, none, nil
}

func (f *fakeService) searchItems(attributes map[string]string) ([]dbus.ObjectPath, answerFor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.value == "" || attributes["service"] != "kyc-agent" {
		return nil, nil
	}
	return []dbus.ObjectPath{theItem}, nil
}

func (f *fakeService) create(_ map[string]dbus.Variant, s wireSecret, _ bool) (dbus.ObjectPath, prompt, answerFor) {
	if f.createItem != nil {
		p, err := f.createItem(string(s.Value))
		return none, p, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.value = string(s.Value)
	return theItem, none, nil
}

func (f *fakeService) deleteItem() (prompt, answerFor) {
	if f.deleteAsks {
		return thePrompt, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.value = ""
	return none, nil
}

func (f *fakeService) getSecret(session dbus.ObjectPath) (wireSecret, answerFor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return wireSecret{session, []byte{}, []byte(f.value), "text/plain"}, nil
}

func (f *fakeService) prompt(string) answerFor {
	go f.onPrompt(f.complete)
	return nil
}

func (f *fakeService) complete(dismissed bool) {
	unlocked := []dbus.ObjectPath{}
	if !dismissed {
		f.mu.Lock()
		f.locked = false
		f.mu.Unlock()
		unlocked = append(unlocked, theLogin)
	}
	_ = f.conn.Emit(thePrompt, "org.freedesktop.Secret.Prompt.Completed", dismissed, dbus.MakeVariant(unlocked))
}
