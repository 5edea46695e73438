package iam

// LoginFilter asks for a page of sessions or grants: of a user, of a client, of
// both or of all, after an id.
type LoginFilter struct {
	User   UserID
	Client ClientID
	After  string
	Limit  int
}

// ListedSession is a session as an administrator sees it.
type ListedSession struct {
	Session
	Username string `json:"username,omitempty"`
}

// ListedGrant is a grant as an administrator sees it. Username is empty for a
// service account, which acts for itself.
type ListedGrant struct {
	Grant
	Username string `json:"username,omitempty"`
}
