package agent

import "sync"

// A ClientSecret is the secret of an app client. Cognito lets an app client have two secrets, so
// that one can replace the other: a secret that was right at the start may be refused later, and
// [ClientSecret.Renew] then reads it again. A nil *ClientSecret is that of an app client without
// a secret. It is safe for concurrent use.
type ClientSecret struct {
	read func() (Secret, error)

	mu      sync.Mutex
	current Secret
}

// NewClientSecret returns a ClientSecret that is current until Renew. read reads the secret
// again, and its error says in one line what to fix; nil means that the secret cannot change.
func NewClientSecret(current Secret, read func() (Secret, error)) *ClientSecret {
	return &ClientSecret{current: current, read: read}
}

// Current returns the secret to use; it is empty for an app client without one.
func (c *ClientSecret) Current() Secret {
	if c == nil {
		return Secret{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

// Renew reads the secret again after the provider has refused one, and reports whether Current
// is another one now. It reads nothing if a call that was refused before has done so already.
func (c *ClientSecret) Renew(refused Secret) (bool, error) {
	if c == nil || c.read == nil {
		return false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.current.Equal(refused) {
		return true, nil
	}
	secret, err := c.read()
	if err != nil || secret.IsZero() || secret.Equal(refused) {
		return false, err
	}
	c.current = secret
	return true, nil
}
