package socket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/legaltalent/kyc-agent/agent"
)

// ErrOtherUser means that a process of another user answers.
var ErrOtherUser = errors.New("another user's process answers")

const otherSocket = "set KYC_AGENT_SOCK to the socket of your own agent"

// Dial connects to the agent's socket at path. Where a process of another user listens,
// it sends nothing and returns an [agent.Error] with CodeDenied and ErrOtherUser. Other errors
// are those of a [net.Dialer].
func Dial(ctx context.Context, path string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	p, err := PeerOf(c)
	if err != nil || p.UID != os.Getuid() {
		_ = c.Close()
		return nil, &agent.Error{
			Code: agent.CodeDenied, Err: cmp.Or(err, ErrOtherUser), Hint: DeniedHint(),
			Message: fmt.Sprintf("%s is answered by uid %d, and you are uid %d: nothing was sent", path, p.UID, os.Getuid()),
		}
	}
	return c, nil
}
