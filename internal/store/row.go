package store

import (
	"database/sql"
	"encoding/json"
	"time"
)

// micros writes a time, NULL for the zero time.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// moment reads what micros wrote.
type moment struct{ into *time.Time }

func (m moment) Scan(v any) error {
	*m.into = time.Time{}
	if n, ok := v.(int64); ok {
		*m.into = time.UnixMicro(n)
	}
	return nil
}

// text writes a list or map as JSON text.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("store: lists of strings always marshal: " + err.Error())
	}
	if string(b) == "null" {
		return "[]"
	}
	return string(b)
}

// list reads what text wrote.
type list[T any] struct{ into *T }

func (l list[T]) Scan(v any) error {
	var raw []byte
	switch s := v.(type) {
	case string:
		raw = []byte(s)
	case []byte:
		raw = s
	}
	if len(raw) == 0 || string(raw) == "[]" {
		return nil
	}
	return json.Unmarshal(raw, l.into)
}

// optional writes "" as NULL.
func optional(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// maybe reads NULL as "".
type maybe[T ~string] struct{ into *T }

func (m maybe[T]) Scan(v any) error {
	*m.into = ""
	if s, ok := v.(string); ok {
		*m.into = T(s)
	}
	return nil
}

// collect reads all rows with scan.
func collect[T any](rows *rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	all := []T{}
	for rows.Next() {
		one, err := scan(rows.Rows)
		if err != nil {
			return nil, unavailable(err)
		}
		all = append(all, one)
	}
	return all, unavailable(rows.Err())
}

// one says whether exactly one row was changed.
func one(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}
