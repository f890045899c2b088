package keyring

import (
	"encoding/json"
	"slices"

	"github.com/legaltalent/kyc-agent/store"
)

// indexKey is the user name of an item that lists the keys: the keychain and the
// credential manager are not asked for theirs. No key begins with '_'.
const indexKey = "_index"

// indexed adds keys to a keyring that cannot list them. A Put whose key is new is
// complete when the index has it; a Delete takes it off the index first, so that the
// worst a kill in between leaves is an item that is not listed.
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

// keys takes an index that makes no sense for an empty one: the next Put repairs it.
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
