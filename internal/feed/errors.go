package feed

import "errors"

// What can be wrong with a message. A reader that gets one does as the error
// says; none of them takes anything out of the Set.
var (
	// ErrForeign: not a message of this feed: another issuer, another type of
	// token, a signature that does not fit. What is known stays known; connect
	// again and resume.
	ErrForeign = errors.New("not a message of this feed")
	// ErrUnknownKey: signed by a key that is not in the set; fetch the feed's keys
	// again and read the same message once more. Is ErrForeign.
	ErrUnknownKey = foreign("the key is unknown")
	// ErrResync: messages are missing, or of another feed than what was known;
	// connect again without Last-Event-ID.
	ErrResync = errors.New("the feed has a gap")
	// ErrUnknown: the issuer says something that this reader does not understand.
	// It may be a revocation, so the Set is not current until a whole snapshot
	// comes without it: connect again later. Is ErrResync.
	ErrUnknown = resync("the issuer says what this version does not understand; update it")
	// ErrClock: the message is authentic, but the clocks of issuer and reader differ
	// by more than a minute, or it was held back for so long: it proves nothing
	// about now. Stay connected.
	ErrClock = errors.New("the clocks of issuer and reader are more than a minute apart, or the message was held back")
	// ErrMalformed: what was signed, or framed, is not in the format. Is never
	// returned alone.
	ErrMalformed = errors.New("malformed message")
)

// kindOf is an error that is another one, too.
type kindOf struct {
	is   error
	text string
}

func (e *kindOf) Error() string { return e.is.Error() + ": " + e.text }
func (e *kindOf) Unwrap() error { return e.is }

func foreign(text string) error { return &kindOf{ErrForeign, text} }
func resync(text string) error  { return &kindOf{ErrResync, text} }
