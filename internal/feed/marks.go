package feed

// Subject is what a token says about itself, as far as it can be revoked by it.
// What is empty is not asked for.
type Subject struct {
	TokenID, GrantID, SessionID string // jti, gid, sid
	UserID, ClientID            string // sub of a user; client_id
	KeyID                       string // the key that verified it
	UserEpoch, ClientEpoch      int64  // ue, ce
}

// Marks are a Subject with its fingerprints, computed once: whoever keeps a
// verified token keeps its Marks beside it, and then a check hashes nothing.
type Marks struct {
	subject Subject
	salt    Salt
	print   [Key + 1]uint64 // by kind; 0: not asked for
}

// Marks computes the fingerprints of a token under the set's salt.
func (s *Set) Marks(subject Subject) *Marks { return newMarks(s.Salt(), subject) }

func newMarks(salt Salt, subject Subject) *Marks {
	m := &Marks{subject: subject, salt: salt}
	for kind, id := range [...]string{Token: subject.TokenID, Grant: subject.GrantID, Session: subject.SessionID,
		User: subject.UserID, Client: subject.ClientID, Key: subject.KeyID} {
		if id != "" {
			m.print[kind] = salt.Print(Kind(kind), id)
		}
	}
	return m
}

// Subject is what the marks were made of.
func (m *Marks) Subject() Subject { return m.subject }

// Revoked tells whether a token is revoked, and by what. Marks made under
// another salt are computed anew.
func (s *Set) Revoked(m *Marks) (Kind, bool) {
	current := s.state.Load()
	if current == nil {
		return 0, false
	}
	if m.salt != current.salt {
		m = newMarks(current.salt, m.subject)
	}
	return current.revoked(m)
}

func (s *state) revoked(m *Marks) (Kind, bool) {
	for _, kind := range [...]Kind{Token, Grant, Session, Key} {
		if print := m.print[kind]; print != 0 && s.members.of(print).has(print) {
			return kind, true
		}
	}
	if print := m.print[User]; print != 0 && uint64(max(0, m.subject.UserEpoch)) < s.epochs.of(print).least(print) {
		return User, true
	}
	if print := m.print[Client]; print != 0 && uint64(max(0, m.subject.ClientEpoch)) < s.epochs.of(print).least(print) {
		return Client, true
	}
	return 0, false
}
