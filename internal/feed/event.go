package feed

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Event is one server-sent event (HTML Standard §9.2).
type Event struct {
	ID, Name, Data string
}

// maxEventLine bounds a line: a field name and a token.
const maxEventLine = jose.MaxTokenBytes + 64

// maxEventLines bounds the lines of one event, comments included.
const maxEventLines = 64

// Append writes the event to a stream.
func (e Event) Append(b []byte) []byte {
	if e.ID != "" {
		b = append(append(append(b, "id: "...), e.ID...), '\n')
	}
	b = append(append(append(b, "event: "...), e.Name...), '\n')
	return append(append(append(b, "data: "...), e.Data...), "\n\n"...)
}

// Events reads a stream of server-sent events in bounded memory.
type Events struct{ from *bufio.Reader }

// NewEvents reads events from a body.
func NewEvents(body io.Reader) *Events {
	return &Events{bufio.NewReaderSize(body, maxEventLine)}
}

// Next is the next event that has data. io.EOF at the end of the stream, also
// in the midst of an event; ErrForeign when it is not in the form that a feed
// has: one line of data an event, no carriage returns, no line beyond a token's.
func (s *Events) Next() (Event, error) {
	var e Event
	for range maxEventLines {
		line, err := s.from.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			return Event{}, foreign("a line of the stream is too long")
		}
		if err != nil {
			return Event{}, err
		}
		line = line[:len(line)-1]
		if len(line) == 0 {
			if e.Data != "" {
				return e, nil
			}
			e = Event{}
			continue
		}
		if bytes.IndexByte(line, '\r') >= 0 {
			return Event{}, foreign("a carriage return in the stream")
		}
		if err := e.field(line); err != nil {
			return Event{}, err
		}
	}
	return Event{}, foreign(fmt.Sprintf("more than %d lines without an event", maxEventLines))
}

func (e *Event) field(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "id":
		e.ID = string(value)
	case "event":
		e.Name = string(value)
	case "data":
		if e.Data != "" {
			return foreign("an event with two lines of data")
		}
		e.Data = string(value)
	}
	return nil // a comment, retry, or what others invented
}
