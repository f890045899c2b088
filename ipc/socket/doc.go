// Package socket creates and dials the agent's Unix socket: private directory, 0600,
// one owner, checked peer credentials.
//
//	ln, err := socket.Listen(socket.Path(os.Getenv)) // the agent's end
//	c, err := socket.Dial(ctx, path)                 // a client's end
//
// [ListenNamed] creates another one for the same agent, in a folder of its own that can be
// mounted into a container. [FromSystemd] takes the sockets from the service manager instead. Package ipc has the
// protocol that is spoken over it.
package socket
