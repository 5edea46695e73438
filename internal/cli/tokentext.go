package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/gatehouse-auth/gatehouse/internal/finding"
	"github.com/gatehouse-auth/gatehouse/internal/inspect"
)

// Widths of the text that people read.
const (
	pageWidth  = 80
	labelWidth = 12
)

// sheetText writes a report for a terminal of 80 columns: a label, then text.
type sheetText struct {
	out    io.Writer
	colour bool
	err    error
}

// sheetOf writes to the command's output; in colour on a terminal only, and
// never with NO_COLOR (no-color.org).
func (a *app) sheetOf() *sheetText {
	f, ok := a.Out.(*os.File)
	colour := ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return &sheetText{out: a.Out, colour: colour}
}

func (s *sheetText) flush() error { return s.err }

func (s *sheetText) printf(format string, args ...any) {
	if s.err == nil {
		_, s.err = fmt.Fprintf(s.out, format, args...)
	}
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
	faint  = "2"
)

func (s *sheetText) paint(text, code string) string {
	if !s.colour || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// row writes a label and text, wrapped beside it.
func (s *sheetText) row(label, text, code string) {
	for i, line := range fold(text, pageWidth-labelWidth-1) {
		if i > 0 {
			label = ""
		}
		s.printf("%s %s\n", s.paint(pad(label, labelWidth), bold), s.paint(line, code))
	}
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 0))
}

// fold wraps text at words; a word that is too long is broken.
func fold(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		for utf8.RuneCountInString(word) > width {
			room := width
			if last := lines[len(lines)-1]; last != "" {
				lines = append(lines, "")
			}
			runes := []rune(word)
			lines[len(lines)-1] = string(runes[:room])
			word = string(runes[room:])
			lines = append(lines, "")
		}
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case utf8.RuneCountInString(*last)+1+utf8.RuneCountInString(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// verdict is the first line, and why.
func (s *sheetText) verdict(r inspect.Report) {
	word, code := map[inspect.Verdict][2]string{inspect.Verified: {"VERIFIED", green}, inspect.NotChecked: {"NOT CHECKED", yellow}, inspect.Invalid: {"INVALID", red}}[r.Verdict], ""
	code = word[1]
	for i, reason := range r.Reasons {
		label := ""
		if i == 0 {
			label = s.paint(pad(word[0], labelWidth), bold+";"+code)
		} else {
			label = pad("", labelWidth)
		}
		for n, line := range fold(reason.Text, pageWidth-labelWidth-1) {
			if n > 0 {
				label = pad("", labelWidth)
			}
			colour := code
			if reason.Code == "published" {
				colour = red // nothing of what is above it counts
			}
			s.printf("%s %s\n", label, s.paint(line, colour))
		}
	}
	if len(r.Unchecked) > 0 {
		s.row("", "not compared: "+strings.Join(r.Unchecked, ", "), faint)
	}
}

func (s *sheetText) report(r inspect.Report) error {
	s.verdict(r)
	if r.Break != nil {
		s.row("", r.Break.Line, "")
		s.printf("%s %s^ %s, character %d\n", pad("", labelWidth), strings.Repeat(" ", r.Break.Caret), r.Break.Segment, r.Break.Offset+1)
	}
	title := r.Kind.Title
	if r.Kind.Maker != "" {
		title += ", as " + r.Kind.Maker + " makes them"
	}
	s.row("kind", title, "")
	if r.Kind.Advice != "" {
		s.row("", r.Kind.Advice, "")
	}
	label := "input"
	for _, note := range append(foundIn(r.Found), r.Found.Notes...) {
		s.row(label, note, faint)
		label = ""
	}
	if r.Life != nil {
		s.life(*r.Life, r.At)
	}
	s.claims("header", r.Header)
	s.claims("claims", r.Claims)
	for _, skipped := range r.Skipped {
		s.row("key", "not usable: "+skipped, yellow)
	}
	s.findings(r)
	s.row("strict", strictly(r), "")
	s.row("size", fmt.Sprintf("%d bytes, fingerprint %s", r.Bytes, r.Fingerprint), "")
	if r.Redacted {
		s.row("", "ids, names and addresses are masked; --show-secrets shows them", faint)
	}
	return s.flush()
}

func foundIn(f inspect.Found) []string {
	if f.Source == "a token" {
		return nil
	}
	return []string{"found in " + f.Source}
}

func strictly(r inspect.Report) string {
	if r.Intake.Accepted {
		return "well-formed: a strict reader takes it"
	}
	return "a strict reader refuses it: " + r.Intake.Reason
}

// life draws how much of the token's life is over, with dates in UTC, and in
// the local zone where that is another.
func (s *sheetText) life(l inspect.Life, now time.Time) {
	text := l.Text
	if over, ok := l.Fraction(); ok {
		const width = 20
		filled := int(over * width)
		bar := strings.Repeat("=", filled)
		if filled < width && l.State == "live" {
			bar += "#" + strings.Repeat("-", width-filled-1)
		} else {
			bar += strings.Repeat("-", width-filled)
		}
		text = "|" + bar + "| " + text
	}
	code := map[string]string{"live": "", "expired": red, "not_yet": yellow, "endless": yellow, "unknown": yellow}[l.State]
	s.row("life", text, code)
	for _, d := range []struct {
		name string
		at   *time.Time
	}{{"issued", l.Issued}, {"begins", l.Begins}, {"expires", l.Expires}} {
		if d.at == nil {
			continue
		}
		line := pad(d.name, 8) + d.at.UTC().Format("2006-01-02 15:04:05 UTC")
		if local := d.at.Local(); local.Format("-0700") != "+0000" {
			line += ", here " + local.Format("15:04:05 -0700")
		}
		s.printf("%s %s\n", pad("", labelWidth), line)
	}
}

// claims are name and value on a line, and the meaning on the next.
func (s *sheetText) claims(label string, all []inspect.Claim) {
	width := 4
	for _, c := range all {
		width = max(width, min(utf8.RuneCountInString(c.Name), 20))
	}
	for i, c := range all {
		if i > 0 {
			label = ""
		}
		indent := labelWidth + 1 + width + 2
		room := pageWidth - indent
		name := pad(c.Name, width)
		if utf8.RuneCountInString(c.Name) > width {
			s.printf("%s %s\n", s.paint(pad(label, labelWidth), bold), c.Name)
			label, name = "", pad("", width)
		}
		value, meaning := c.Value, c.Meaning
		if c.Time != nil {
			value, meaning = c.Meaning, ""
		}
		lines := fold(value, room)
		if meaning != "" {
			last := len(lines) - 1
			if utf8.RuneCountInString(lines[last])+3+utf8.RuneCountInString(meaning) <= room {
				lines[last] += "   " + s.paint(meaning, faint)
			} else {
				for _, line := range fold(meaning, room) {
					lines = append(lines, s.paint(line, faint))
				}
			}
		}
		for n, line := range lines {
			if n > 0 {
				label, name = "", pad("", width)
			}
			s.printf("%s %s  %s\n", s.paint(pad(label, labelWidth), bold), name, line)
		}
	}
}

func (s *sheetText) findings(r inspect.Report) {
	if len(r.Findings) == 0 {
		s.row("findings", "none", green)
		return
	}
	label := "findings"
	for _, f := range r.Findings {
		text := f.Title
		if f.Detail != "" {
			text += ": " + f.Detail
		}
		code := map[finding.Severity]string{finding.Critical: red, finding.High: red, finding.Medium: yellow}[f.Severity]
		for n, line := range fold(text, pageWidth-labelWidth-1-14) {
			head := ""
			if n == 0 {
				head = pad(string(f.Severity), 9) + f.ID
			}
			s.printf("%s %s %s\n", s.paint(pad(label, labelWidth), bold), s.paint(pad(head, 13), code), line)
			label = ""
		}
		if f.Severity != finding.Info {
			for _, line := range fold(f.Fix, pageWidth-labelWidth-1-14) {
				s.printf("%s %s %s\n", pad("", labelWidth), pad("", 13), s.paint(line, faint))
			}
		}
	}
}

func (s *sheetText) diff(d inspect.Difference) error {
	if len(d.Changes) == 0 {
		s.row("claims", "all alike", "")
	}
	for _, c := range d.Changes {
		s.row(c.Where, c.Name, bold)
		for _, side := range []struct{ sign, value, code string }{{"-", c.Before, red}, {"+", c.After, green}} {
			if side.value == "" {
				continue
			}
			for _, line := range fold(side.value, pageWidth-labelWidth-5) {
				s.printf("%s   %s\n", pad("", labelWidth), s.paint(side.sign+" "+line, side.code))
			}
		}
		if c.Note != "" {
			s.printf("%s     %s\n", pad("", labelWidth), s.paint(c.Note, faint))
		}
	}
	if len(d.Same) > 0 {
		s.row("alike", strings.Join(d.Same, ", "), "")
	}
	if len(d.Appeared) > 0 {
		s.row("new", "findings: "+strings.Join(d.Appeared, ", "), yellow)
	}
	if len(d.Gone) > 0 {
		s.row("gone", "findings: "+strings.Join(d.Gone, ", "), green)
	}
	return s.flush()
}
