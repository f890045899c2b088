package sink

// Kill ends m as a SIGKILL ends an agent: its files stay, and so do its notes. Nothing of m
// may be running.
func (m *Manager) Kill() {
	for _, f := range *m.files.Load() {
		for _, w := range append(f.replaced, f.current) {
			if w != nil {
				w.close()
			}
		}
		f.current, f.replaced = nil, nil
		f.sink.Path, f.notes = "/nonexistent/kyc", readNotes("", f.log)
		f.cancel()
		<-f.done
	}
	m.closed = true
	m.files.Store(new([]*file))
}
