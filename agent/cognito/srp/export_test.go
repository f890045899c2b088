package srp

import "math/big"

// ClientForTest returns a Client with the ephemeral key a, in hexadecimal.
func ClientForTest(a string) *Client {
	n, _ := new(big.Int).SetString(a, 16)
	return newClient(n)
}

// KeyForTest returns the session key.
func (c *Client) KeyForTest(id Identity, password string, ch Challenge) ([]byte, error) {
	return c.key(id, password, ch)
}

// ZeroUForTest derives a session key where the public keys hash to zero, for which
// nobody knows an example.
func (c *Client) ZeroUForTest() ([]byte, error) {
	return c.derive(big.NewInt(5), new(big.Int), big.NewInt(7))
}

// PrimeForTest is N.
func PrimeForTest() *big.Int { return new(big.Int).Set(rfc3526().prime) }

// PaddedForTest returns the bytes of a number in the form that is hashed.
func PaddedForTest(n *big.Int) []byte { return padded(n) }
