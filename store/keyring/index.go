package keyring

import (
	"encoding/json"
	"slices"

	"github.com/legaltalent/kyc-agent/store"
)

// indexKey is the user name of an item that lists the keys, because go-keyring cannot
// list the items of the keychain or the credential manager. No key begins with '_'.
const indexKey = "_index"

// indexed adds an index to a keyring that cannot list its keys. A put of a new key ends
// with writing the index, and a delete begins with it. So if the child is killed in
// between, the worst result is an item that is not listed.
type indexed struct {
	items interface {
		get(key string) ([]byte, error)
		put(key string, value []byte) error
		delete(key string) error
	}
}

func (b indexed) get(key string) ([]byte, error) { return b.items.get(key) }

func (b indexed) put(key string, value []byte) error {
	if err := b.items.put(key, value); err != nil {
		return err
	}
	keys, err := b.keys()
	if err != nil {
		return err
	}
	i, found := slices.BinarySearch(keys, key)
	if found {
		return nil
	}
	return b.write(slices.Insert(keys, i, key))
}

func (b indexed) delete(key string) error {
	keys, err := b.keys()
	if err != nil {
		return err
	}
	if i, found := slices.BinarySearch(keys, key); found {
		if err := b.write(slices.Delete(keys, i, i+1)); err != nil {
			return err
		}
	}
	return b.items.delete(key)
}

// keys treats an invalid index as empty; the next put repairs it.
func (b indexed) keys() ([]string, error) {
	data, err := b.items.get(indexKey)
	if hasCode(err, codeNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var keys []string
	if json.Unmarshal(data, &keys) != nil {
		return nil, nil
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { return !store.ValidKey(k) })
	slices.Sort(keys)
	return slices.Compact(keys), nil
}

func (b indexed) write(keys []string) error {
	if len(keys) == 0 {
		return b.items.delete(indexKey)
	}
	data, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	return b.items.put(indexKey, data)
}
