package page

import (
	"fmt"
	"reflect"
	"strings"
	"text/template/parse"
)

// lint reads a template without running it, so that a branch that no sample
// takes is checked too: every name after a dot must be one that the page's
// values have, every message must exist.
func lint(file, source string, views []reflect.Type, messages map[string]string) []error {
	trees := map[string]*parse.Tree{}
	root := parse.New(file)
	root.Mode = parse.SkipFuncCheck
	if _, err := root.Parse(source, "", "", trees); err != nil {
		return []error{fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "template: "))}
	}
	l := linter{known: map[string]bool{}, messages: messages}
	for _, view := range views {
		l.learn(view)
	}
	trees[file] = root
	for _, tree := range trees {
		l.tree = tree
		if tree.Root != nil {
			l.walk(tree.Root)
		}
	}
	return l.faults
}

type linter struct {
	known    map[string]bool
	messages map[string]string
	tree     *parse.Tree
	faults   []error
}

// learn takes in the names of a type and of what it holds.
func (l *linter) learn(t reflect.Type) {
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Pointer:
		l.learn(t.Elem())
	case reflect.Struct:
		for i := range t.NumMethod() {
			l.known[t.Method(i).Name] = true
		}
		for i := range t.NumField() {
			if field := t.Field(i); field.IsExported() {
				l.known[field.Name] = true
				l.learn(field.Type)
			}
		}
	}
}

func (l *linter) fault(node parse.Node, format string, args ...any) {
	where, _ := l.tree.ErrorContext(node)
	l.faults = append(l.faults, fmt.Errorf("%s: "+format, append([]any{where}, args...)...))
}

func (l *linter) names(node parse.Node, names []string) {
	for _, name := range names {
		if !l.known[name] {
			l.fault(node, "this page has no field %s", name)
		}
	}
}

func (l *linter) walk(node parse.Node) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, inner := range n.Nodes {
				l.walk(inner)
			}
		}
	case *parse.ActionNode:
		l.walk(n.Pipe)
	case *parse.PipeNode:
		if n != nil {
			for _, command := range n.Cmds {
				l.command(command)
			}
		}
	case *parse.IfNode:
		l.branch(&n.BranchNode)
	case *parse.RangeNode:
		l.branch(&n.BranchNode)
	case *parse.WithNode:
		l.branch(&n.BranchNode)
	case *parse.TemplateNode:
		l.walk(n.Pipe)
	case *parse.FieldNode:
		l.names(n, n.Ident)
	case *parse.VariableNode:
		l.names(n, n.Ident[1:])
	case *parse.ChainNode:
		l.walk(n.Node)
		l.names(n, n.Field)
	}
}

func (l *linter) branch(n *parse.BranchNode) {
	l.walk(n.Pipe)
	l.walk(n.List)
	l.walk(n.ElseList)
}

// command also checks the key of .T "key" and .H "key".
func (l *linter) command(n *parse.CommandNode) {
	for _, argument := range n.Args {
		l.walk(argument)
	}
	if len(n.Args) < 2 {
		return
	}
	key, isText := n.Args[1].(*parse.StringNode)
	called := n.Args[0].String()
	if isText && (strings.HasSuffix(called, ".T") || strings.HasSuffix(called, ".H")) {
		if _, exists := l.messages[key.Text]; !exists {
			l.fault(n, "there is no message %q", key.Text)
		}
	}
}
