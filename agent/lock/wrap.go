// Package lock keeps stored sign-ins under a passphrase.
//
// A passphrase protects an X25519 identity of age. [Wrap] seals a stored value to the public
// half of it, so that a lock needs no passphrase; [All] does that to a whole store. Only the
// identity, which [Helper.Open] decrypts with the passphrase, opens it again: [Unwrap] and
// [Open].
//
// [Folder] is what the disk keeps of it, beside the sign-ins: the sealed identity, whether the
// agent is locked, and how many wrong passphrases were tried. [Turns] makes wrong tries wait.
package lock

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/legaltalent/kyc-agent/store"
)

// wrappedVersion is the version of a record that is wrapped. An agent that knows only version 1
// says that the record is newer than itself, and not that it is damaged.
const wrappedVersion = 2

// A wrapped is a value that is wrapped, as JSON.
type wrapped struct {
	Version int `json:"v"`
	// Deflated is the value, compressed because a keyring has little room, and encrypted.
	Deflated []byte `json:"x25519"`
}

// Errors of Unwrap.
var (
	ErrNotWrapped = errors.New("not wrapped")
	ErrOtherKey   = errors.New("wrapped to the identity of another passphrase, or damaged")
)

// IsWrapped reports whether Wrap made value.
func IsWrapped(value []byte) bool {
	var w wrapped
	return json.Unmarshal(value, &w) == nil && w.Version == wrappedVersion && len(w.Deflated) > 0
}

// Wrap seals value to recipient. Of a value of 2,200 bytes it makes one that fits into
// [store.MaxValue], if the value is text without blanks, as tokens are.
func Wrap(recipient age.Recipient, value []byte) ([]byte, error) {
	var sealed bytes.Buffer
	encrypted, err := age.Encrypt(&sealed, recipient)
	if err != nil {
		return nil, err
	}
	deflated, err := flate.NewWriter(encrypted, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	_, err = deflated.Write(value)
	if err := errors.Join(err, deflated.Close(), encrypted.Close()); err != nil {
		return nil, err
	}
	return json.Marshal(wrapped{wrappedVersion, sealed.Bytes()})
}

// maxUnwrapped bounds what a damaged value can become.
const maxUnwrapped = 1 << 20

// Unwrap opens what Wrap made.
func Unwrap(identity age.Identity, value []byte) ([]byte, error) {
	if !IsWrapped(value) {
		return nil, ErrNotWrapped
	}
	var w wrapped
	_ = json.Unmarshal(value, &w)
	decrypted, err := age.Decrypt(bytes.NewReader(w.Deflated), identity)
	if err != nil {
		return nil, ErrOtherKey
	}
	opened, err := io.ReadAll(io.LimitReader(flate.NewReader(decrypted), maxUnwrapped))
	if err != nil {
		return nil, ErrOtherKey
	}
	return opened, nil
}

// All wraps every value of st that is not wrapped, and those of pending, which st is to have and
// has not; nil is a key to delete. It returns how many were wrapped and what st has still not
// taken: of a value that could not be read there is nothing. After an error some values of st
// may not be wrapped.
func All(ctx context.Context, st store.Store, recipient age.Recipient, pending map[string][]byte) (n int, left map[string][]byte, err error) {
	left = map[string][]byte{}
	for key, value := range pending {
		if value != nil && !IsWrapped(value) {
			if value, err = Wrap(recipient, value); err != nil {
				return n, pending, err
			}
			n++
		}
		if err := put(ctx, st, key, value); err != nil {
			left[key] = value
		}
	}
	keys, err := st.Keys(ctx)
	if err != nil {
		return n, left, err
	}
	var failed error
	for _, key := range keys {
		if _, newer := left[key]; newer {
			failed = errors.Join(failed, fmt.Errorf("%s is not wrapped in the store", key))
			continue
		}
		wrapped, value, err := wrapOne(ctx, st, recipient, key)
		n += wrapped
		if err != nil && value != nil {
			left[key] = value
		}
		failed = errors.Join(failed, err)
	}
	return n, left, failed
}

func put(ctx context.Context, st store.Store, key string, value []byte) error {
	if value == nil {
		return st.Delete(ctx, key)
	}
	return st.Put(ctx, key, value)
}

// wrapOne wraps the value of key. If the store does not take it, it is returned.
func wrapOne(ctx context.Context, st store.Store, recipient age.Recipient, key string) (n int, value []byte, err error) {
	plain, err := st.Get(ctx, key)
	switch {
	case isGone(err):
		return 0, nil, nil
	case err != nil:
		return 0, nil, err
	case IsWrapped(plain):
		return 0, nil, nil
	}
	if value, err = Wrap(recipient, plain); err != nil {
		return 0, nil, err
	}
	return 1, value, st.Put(ctx, key, value)
}

// isGone reports whether there is nothing that anybody can read. A part of a store that cannot be
// reached may have the value.
func isGone(err error) bool {
	return errors.Is(err, store.ErrDamaged) || errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrUnavailable)
}

// Open opens every value of st that is wrapped, and returns how many those were, and those of
// pending, opened, which st has still not taken. A value of another identity stays as it is.
func Open(ctx context.Context, st store.Store, identity age.Identity, pending map[string][]byte) (n int, left map[string][]byte, foreign []string, err error) {
	keys, err := st.Keys(ctx)
	if err != nil {
		return 0, nil, nil, err
	}
	for _, key := range keys {
		value, err := st.Get(ctx, key)
		switch {
		case isGone(err):
			continue
		case err != nil:
			return n, nil, nil, err
		}
		opened, err := Unwrap(identity, value)
		if errors.Is(err, ErrOtherKey) {
			foreign = append(foreign, key)
		}
		if err != nil {
			continue
		}
		if err := st.Put(ctx, key, opened); err != nil {
			return n, nil, nil, err
		}
		n++
	}
	left = map[string][]byte{}
	for key, value := range pending {
		opened, err := Unwrap(identity, value)
		switch {
		case value == nil || err == nil:
			left[key] = opened
		case errors.Is(err, ErrNotWrapped):
			left[key] = value
		default:
			foreign = append(foreign, key)
		}
	}
	return n, left, foreign, nil
}
