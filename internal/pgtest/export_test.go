package pgtest

// Folder is where the server keeps its files.
func (s *Server) Folder() string { return s.dir }
