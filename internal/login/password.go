package login

import (
	"cmp"
	"crypto/rand"
	_ "embed"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// Length limits in code points (NIST SP 800-63B-4 §3.1.1.2: at least 15 for a
// password that is the only factor, at least 64 allowed).
const (
	MinPasswordLength = 15
	MaxPasswordLength = 256
)

//go:embed common.txt
var commonFile string

// common are passwords, words and phrases that attackers try first, folded by
// fold. Few are as long as a password must be: the rest are what longer ones
// are put together from (see patchwork).
var common = func() map[string]bool {
	set := map[string]bool{}
	for _, line := range strings.Fields(commonFile) {
		set[fold(line)] = true
	}
	return set
}()

// CheckPassword reports why password cannot be chosen, as a sentence that says
// how to satisfy the rule. context are words an attacker would try for this
// person: the username, the address, the name.
//
// There are no composition rules and no expiry (NIST SP 800-63B-4 §3.1.1.2).
func CheckPassword(password string, context ...string) error {
	return rules{}.check(password, context)
}

// rules for new passwords, beside those that are built in.
type rules struct {
	blocklist func() (*Blocklist, error)
	words     []string
}

func (r rules) check(password string, context []string) error {
	if !utf8.ValidString(password) {
		return iam.Invalidf("The password is not valid UTF-8. Type it again.")
	}
	password = normalize(password)
	switch n := utf8.RuneCountInString(password); {
	case n < MinPasswordLength:
		return iam.Invalidf("The password has %d characters; it needs at least %d. Four or five random words are easy to remember.", n, MinPasswordLength)
	case n > MaxPasswordLength:
		return iam.Invalidf("The password has %d characters; at most %d are allowed.", n, MaxPasswordLength)
	}
	if err := checkGuessable(fold(password), slices.Concat(context, r.words)); err != nil {
		return err
	}
	return r.checkListed(password)
}

func (r rules) checkListed(password string) error {
	if r.blocklist == nil {
		return nil
	}
	list, err := r.blocklist()
	if err != nil {
		return err
	}
	for _, form := range guesses(fold(password)) {
		if list.has(form) {
			return iam.Invalidf("This password is on the list of known passwords that this installation refuses. Choose another one, such as five random words.")
		}
	}
	return nil
}

func checkGuessable(folded string, context []string) error {
	for _, form := range guesses(folded) {
		if common[form] {
			return iam.Invalidf("This password is on the list of those that attackers try first, or is one of them with a little added. Choose another one, such as five random words.")
		}
	}
	if unit := repeatedUnit(folded); utf8.RuneCountInString(unit) <= 4 || common[unit] {
		return iam.Invalidf("This password repeats one short or well-known piece. Choose another one, such as five random words.")
	}
	if sequence(folded) {
		return iam.Invalidf("This password runs along the alphabet, the digits or the keyboard. Choose another one, such as five random words.")
	}
	if word := littleMoreThan(folded, context); word != "" {
		return iam.Invalidf("This password is little more than the word %q, which others can guess. Choose another one, such as five random words.", iam.Printable(word, 32))
	}
	if patchwork(folded) || patchwork(plain(folded)) {
		return iam.Invalidf("This password is put together from a few well-known pieces, such as common words, years and keys in a row. Choose another one, such as five random words.")
	}
	return nil
}

// normalize makes the same characters the same bytes however they were typed
// (NIST SP 800-63B-4: NFKC). Nothing is trimmed.
func normalize(password string) string { return norm.NFKC.String(password) }

var separators = strings.NewReplacer(" ", "", "-", "", "_", "", ".", "")

// fold removes what people add to a bad password to please a rule.
func fold(s string) string {
	return separators.Replace(strings.ToLower(normalize(s)))
}

var lookalikes = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "@", "a", "5", "s", "$", "s", "7", "t", "8", "b", "!", "i", "|", "i", "€", "e", "+", "t")

// plain writes letters for the digits and signs that stand for them.
func plain(s string) string { return lookalikes.Replace(s) }

// mostAdded is how many characters at the ends do not make a known password
// another one.
const mostAdded = 7

// guesses are a folded password and what it was made from: without the digits
// and signs at its ends, with letters for lookalikes, backwards.
func guesses(folded string) []string {
	forms := []string{folded}
	core := strings.TrimFunc(folded, func(r rune) bool { return !unicode.IsLetter(r) })
	if added := utf8.RuneCountInString(folded) - utf8.RuneCountInString(core); core != "" && added > 0 && (added <= mostAdded || trivial(folded, core)) {
		forms = append(forms, core)
	}
	if bare := strings.TrimFunc(folded, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }); bare != "" && utf8.RuneCountInString(folded)-utf8.RuneCountInString(bare) <= mostAdded {
		forms = append(forms, bare)
	}
	for _, form := range forms[:len(forms):len(forms)] {
		forms = append(forms, plain(form), reverse(form))
	}
	// l33t at an end, such as passw0rd1234, is trimmed before it is read.
	end := strings.TrimRightFunc(folded, func(r rune) bool { return unicode.IsDigit(r) || unicode.IsPunct(r) || unicode.IsSymbol(r) })
	if added := utf8.RuneCountInString(folded) - utf8.RuneCountInString(end); added > 0 && added <= mostAdded {
		forms = append(forms, plain(end))
	}
	return forms
}

// trivial tells whether what stands around the core is digits in order, or one
// sign many times: however long, it adds nothing.
func trivial(folded, core string) bool {
	before, after, _ := strings.Cut(folded, core)
	for _, piece := range []string{before, after} {
		if piece != "" && !sequence(piece) && utf8.RuneCountInString(repeatedUnit(piece)) > 3 {
			return false
		}
	}
	return true
}

// littleMoreThan is the context word that the password consists of, but for
// fewer than eight characters; "" when there is none. Words together count
// together: the name and the host are no more than either.
func littleMoreThan(folded string, context []string) string {
	for _, form := range []string{folded, plain(folded), reverse(folded)} {
		rest, first := form, ""
		for _, word := range contextWords(context) {
			if strings.Contains(rest, word) {
				// Not nothing: what stands left and right of a word must not
				// become a word.
				rest = strings.ReplaceAll(rest, word, "\x00")
				first = cmp.Or(first, word)
			}
		}
		if first != "" && utf8.RuneCountInString(strings.ReplaceAll(rest, "\x00", "")) < 8 {
			return first
		}
	}
	return ""
}

// contextWords are the folded words of at least four characters, whole and in
// their parts, the longest first.
func contextWords(context []string) []string {
	var words []string
	for _, text := range append(context, "gatehouse") {
		parts := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		for _, part := range append(parts, text) {
			if w := fold(part); utf8.RuneCountInString(w) >= 4 && !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
	}
	slices.SortStableFunc(words, func(a, b string) int { return len(b) - len(a) })
	return words
}

// repeatedUnit is the shortest piece whose repetition is s; s itself when there is none.
func repeatedUnit(s string) string {
	for n := 1; n <= len(s)/2; n++ {
		if len(s)%n == 0 && s[n:] == s[:len(s)-n] {
			return s[:n]
		}
	}
	return s
}

var sequences = []string{
	"abcdefghijklmnopqrstuvwxyz", "01234567890", "0123456789", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "qazwsxedcrfvtgbyhnujmikolp", "a1b2c3d4e5f6g7h8i9", "1a2b3c4d5e6f7g8h9i", "!@#$%^&*()", "!\"§$%&/()=",
	"13579", "24680", "2468101214161820", "абвгдежзийклмнопрстуфхцчшщъыьэюя", "йцукенгшщзхъфывапролджэячсмитьбю",
}

// runs are the sequences as they are compared: doubled, forwards and backwards.
var runs = func() []string {
	var all []string
	for _, row := range sequences {
		all = append(all, row+row, reverse(row+row))
	}
	return all
}()

// sequence tells whether s is nothing but neighbours of one row.
func sequence(s string) bool {
	for _, row := range runs {
		if strings.Contains(row, s) {
			return true
		}
	}
	return false
}

// What a piece of a patchwork costs an attacker, and how much is too little: a
// password of three well-known words, or of two and a year, is tried.
const (
	wordCost   = 2
	runCost    = 1
	patchLimit = 6
)

// patchwork tells whether s is covered, without a character left, by a few
// well-known words, keys in a row, years and repeated signs.
func patchwork(s string) bool {
	text := []rune(s)
	if len(text) > patchLimit*longestPiece {
		return false
	}
	const never = 1 << 20
	cheapest := make([]int, len(text)+1) // to reach this point
	for i := range text {
		cheapest[i+1] = never
	}
	for i := range text {
		if cheapest[i] > patchLimit {
			continue
		}
		for j := i + 3; j <= len(text) && j-i <= longestPiece; j++ {
			if cost := pieceCost(string(text[i:j])); cost > 0 {
				cheapest[j] = min(cheapest[j], cheapest[i]+cost)
			}
		}
	}
	return cheapest[len(text)] <= patchLimit
}

// longestPiece bounds the work: longer ones are listed as a whole.
const longestPiece = 24

// pieceCost is 0 for what is not well-known.
func pieceCost(piece string) int {
	switch {
	case piece[1:] == piece[:len(piece)-1], sequence(piece), year(piece):
		return runCost
	case len(piece) >= 4 && common[piece]:
		return wordCost
	}
	return 0
}

// year is 1900 to 2099.
func year(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && len(s) == 4 && n >= 1900 && n < 2100
}

func reverse(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}

const (
	consonants = "bdfghjklmnprstvz"
	vowels     = "aeiou"
)

// GeneratePassphrase draws five pronounceable groups of five letters,
// such as "nolub-hatiz-gefum-sibod-rukav": 83 bits.
func GeneratePassphrase() string {
	groups := make([]string, 5)
	for i := range groups {
		groups[i] = pick(consonants) + pick(vowels) + pick(consonants) + pick(vowels) + pick(consonants)
	}
	return strings.Join(groups, "-")
}

func pick(letters string) string {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
	if err != nil {
		panic(err) // crypto/rand never fails on a supported system
	}
	return letters[i.Int64() : i.Int64()+1]
}
