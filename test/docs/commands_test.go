// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/labguard/labguard/internal/testutil/documented"
)

const reader = "github.com/labguard/labguard/internal/testutil/documented"

// reading is a call that reads a block: documented.Block(t, file, heading, n) or one of its kind, in a test or in what a test calls.
type reading struct {
	file, heading string
	number        int
	// where is the file and line of the call; test is the test that leads to it, empty if none does.
	where, test string
}

func (r reading) of(p page, fence documented.Fence) bool {
	return r.test != "" && r.file == p.path && r.number == fence.Number && fence.Under(r.heading)
}

func TestEveryBlockOfCommandsIsRunByATest(t *testing.T) {
	t.Parallel()
	calls := readings(t)
	blocks := 0
	for _, p := range pages(t) {
		for _, fence := range p.Fences {
			if !fence.Commands() {
				if strings.HasPrefix(fence.Text, "$ ") || strings.Contains(fence.Text, "\n$ ") {
					t.Errorf("%s:%d: it has a prompt: mark the block as console", p.path, fence.Line)
				}
				continue
			}
			blocks++
			where := p.path + ":" + strconv.Itoa(fence.Line)
			read := slices.ContainsFunc(calls, func(r reading) bool { return r.of(p, fence) })
			reason, excused := strings.CutPrefix(fence.Comment, "not run here: ")
			switch {
			case read && excused:
				t.Errorf("%s: a test runs it, and the comment above it says why none does", where)
			case excused && len(reason) < 20:
				t.Errorf("%s: the comment above it does not say why no test runs it", where)
			case excused:
				t.Logf("%s is not run: %s", where, reason)
			case !read:
				t.Errorf("%s: no test reads block %d below %q: run it in test/docs/commands, by documented.Block or documented.Session", where, fence.Number,
					strings.Join(fence.Headings, " > "))
			}
		}
	}
	if blocks < 40 {
		t.Errorf("only %d blocks are found", blocks)
	}
}

func TestEveryReadingIsOfABlockThatIsThere(t *testing.T) {
	t.Parallel()
	all := pages(t)
	for _, r := range readings(t) {
		if strings.Contains(r.where, "internal/testutil/documented/") {
			continue
		}
		if r.test == "" {
			t.Errorf("%s: no test leads to this call", r.where)
		}
		found := slices.ContainsFunc(all, func(p page) bool {
			return slices.ContainsFunc(p.Fences, func(f documented.Fence) bool {
				return f.Commands() && (reading{r.file, r.heading, r.number, "", "-"}).of(p, f)
			})
		})
		if !found {
			t.Errorf("%s: %s has no block %d below %q", r.where, r.file, r.number, r.heading)
		}
	}
}

// readings are all calls of the repository that read a block.
func readings(t *testing.T) []reading {
	t.Helper()
	root := documented.Root(t)
	byDir := map[string][]*ast.File{}
	files := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", "bin", "dist", "testdata"}, entry.Name()) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		byDir[filepath.Dir(path)] = append(byDir[filepath.Dir(path)], file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var found []reading
	for _, dir := range byDir {
		found = append(found, readingsOf(files, dir)...)
	}
	for i := range found {
		if relative, err := filepath.Rel(root, found[i].where); err == nil {
			found[i].where = relative
		}
	}
	if len(found) < 5 {
		t.Fatalf("only %d calls are found", len(found))
	}
	return found
}

// readingsOf are those of the test files of one folder.
func readingsOf(files *token.FileSet, dir []*ast.File) []reading {
	functions := map[string]*ast.FuncDecl{}
	for _, file := range dir {
		for _, declaration := range file.Decls {
			if function, is := declaration.(*ast.FuncDecl); is && function.Body != nil {
				functions[function.Name.Name] = function
			}
		}
	}
	tests := ledToBy(functions)
	var found []reading
	for _, file := range dir {
		name := nameOf(file)
		if name == "" {
			continue
		}
		for _, declaration := range file.Decls {
			function, is := declaration.(*ast.FuncDecl)
			if !is || function.Body == nil {
				continue
			}
			ast.Inspect(function.Body, func(node ast.Node) bool {
				if r, is := readingIn(node, name); is {
					r.where, r.test = files.Position(node.Pos()).String(), tests[function.Name.Name]
					found = append(found, r)
				}
				return true
			})
		}
	}
	return found
}

// nameOf is how a file calls the package that reads blocks; empty if it does not import it.
func nameOf(file *ast.File) string {
	for _, spec := range file.Imports {
		if spec.Path.Value != strconv.Quote(reader) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return "documented"
	}
	return ""
}

// readingIn takes a call apart. A block that is not named by literals counts for nothing.
func readingIn(node ast.Node, name string) (reading, bool) {
	call, is := node.(*ast.CallExpr)
	if !is || len(call.Args) < 4 {
		return reading{}, false
	}
	function, is := call.Fun.(*ast.SelectorExpr)
	if !is || !slices.Contains([]string{"Block", "Session"}, function.Sel.Name) {
		return reading{}, false
	}
	if of, is := function.X.(*ast.Ident); !is || of.Name != name {
		return reading{}, false
	}
	var words []string
	for _, argument := range call.Args[1:4] {
		literal, is := argument.(*ast.BasicLit)
		if !is {
			return reading{}, false
		}
		word := literal.Value
		if literal.Kind == token.STRING {
			word, _ = strconv.Unquote(word)
		}
		words = append(words, word)
	}
	number, err := strconv.Atoi(words[2])
	return reading{file: words[0], heading: words[1], number: number}, err == nil
}

// ledToBy says for each function which test calls it, or what calls it.
func ledToBy(functions map[string]*ast.FuncDecl) map[string]string {
	tests := map[string]string{}
	var visit func(name, test string)
	visit = func(name, test string) {
		function, is := functions[name]
		if !is || tests[name] != "" {
			return
		}
		tests[name] = test
		ast.Inspect(function.Body, func(node ast.Node) bool {
			if identifier, is := node.(*ast.Ident); is {
				visit(identifier.Name, test)
			}
			return true
		})
	}
	for name := range functions {
		if strings.HasPrefix(name, "Test") {
			visit(name, name)
		}
	}
	return tests
}

func TestACallCountsIfATestLeadsToIt(t *testing.T) {
	t.Parallel()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "x_test.go", `package x

import said "`+reader+`"

func TestIt(t *testing.T) { helper(t) }
func helper(t *testing.T) { said.Block(t, "a.md", "A > B", 2) }
func unused(t *testing.T) { said.Session(t, "a.md", "B", 1) }
func others(t *testing.T) { documented.Block(t, "a.md", "B", 1); said.Block(t, variable, "B", 1); said.With(t, "a.md", "B", 1) }
`, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := readingsOf(files, []*ast.File{file})
	want := []reading{{"a.md", "A > B", 2, "x_test.go:6:29", "TestIt"}, {"a.md", "B", 1, "x_test.go:7:29", ""}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
