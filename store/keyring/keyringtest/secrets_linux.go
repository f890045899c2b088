package keyringtest

import (
	"github.com/godbus/dbus/v5"
)

// secret is the Secret Service API's structure of that name.
type secret struct {
	Session     dbus.ObjectPath
	Parameters  []byte
	Value       []byte
	ContentType string
}

// Lock locks the login collection.
func (k *Keyring) Lock() {
	k.t.Helper()
	conn := k.Connect()
	defer conn.Close()
	var locked []dbus.ObjectPath
	var prompt dbus.ObjectPath
	err := conn.Object(busName, servicePath).
		Call("org.freedesktop.Secret.Service.Lock", 0, []dbus.ObjectPath{login}).Store(&locked, &prompt)
	if err != nil || len(locked) != 1 {
		k.t.Fatalf("lock the login collection: %v, locked %v", err, locked)
	}
}

// Unlock unlocks the login collection as a person at its prompt would, with an
// interface that gnome-keyring provides for its own tools.
func (k *Keyring) Unlock() {
	k.t.Helper()
	conn := k.Connect()
	defer conn.Close()
	err := conn.Object(busName, servicePath).
		Call("org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface.UnlockWithMasterPassword", 0,
			login, k.secret(conn, password)).Err
	if err != nil {
		k.t.Fatalf("unlock the login collection: %v", err)
	}
}

// Store puts an item into the login collection as another program would.
func (k *Keyring) Store(service, user, value string) {
	k.t.Helper()
	conn := k.Connect()
	defer conn.Close()
	properties := map[string]dbus.Variant{
		"org.freedesktop.Secret.Item.Label":      dbus.MakeVariant(service),
		"org.freedesktop.Secret.Item.Attributes": dbus.MakeVariant(map[string]string{"service": service, "username": user}),
	}
	err := conn.Object(busName, login).
		Call("org.freedesktop.Secret.Collection.CreateItem", 0, properties, k.secret(conn, value), true).Err
	if err != nil {
		k.t.Fatalf("create an item: %v", err)
	}
}

// secret wraps value for the session that conn opens for it.
func (k *Keyring) secret(conn *dbus.Conn, value string) secret {
	k.t.Helper()
	var output dbus.Variant
	var session dbus.ObjectPath
	err := conn.Object(busName, servicePath).
		Call("org.freedesktop.Secret.Service.OpenSession", 0, "plain", dbus.MakeVariant("")).Store(&output, &session)
	if err != nil {
		k.t.Fatalf("open a session: %v", err)
	}
	return secret{Session: session, Parameters: []byte{}, Value: []byte(value), ContentType: "text/plain"}
}
