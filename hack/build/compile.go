// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// compile builds the programs of t into out.
func compile(ctx context.Context, t target, out string, p *progress) error {
	p.say("compiling %s\n%s", t.programs(), t.why)
	stale, err := download(ctx, t, p)
	if err != nil {
		return err
	}
	if err := compilePackages(ctx, t, out, stale, p); err != nil {
		return err
	}
	p.end()
	return nil
}

// download fetches the modules that t needs, which listing its packages does,
// and returns how many packages are left to compile.
func download(ctx context.Context, t target, p *progress) (stale int, err error) {
	args := append([]string{"list", "-deps", "-buildvcs=false", "-tags", t.tags, "-f", "{{if .Stale}}stale{{end}}"}, t.packages...)
	cmd := t.command(ctx, args...)
	var listed bytes.Buffer
	cmd.Stdout = &listed
	modules := 0
	err = runLines(cmd, func(line string) bool {
		what, ok := strings.CutPrefix(line, "go: downloading ")
		if ok {
			modules++
			p.update("downloading Go modules: %d so far, now %s", modules, what)
		}
		return ok
	})
	if err != nil {
		return 0, fmt.Errorf("download Go modules: %w", err)
	}
	return strings.Count(listed.String(), "stale"), nil
}

func compilePackages(ctx context.Context, t target, out string, stale int, p *progress) error {
	args := append([]string{"build", "-v", "-buildvcs=false", "-tags", t.tags, "-ldflags", t.ldflags, "-o", out + "/"}, t.packages...)
	compiled := 0
	p.update("compiling %d packages", stale)
	err := runLines(t.command(ctx, args...), func(line string) bool {
		// Compiler errors have colons or spaces; a package's name has neither.
		if strings.ContainsAny(line, ": #\t") {
			return false
		}
		compiled++
		// With -v the go command names a package when it begins with it, the
		// program itself last: from there on the linker works.
		if compiled >= stale {
			p.update("linking")
		} else {
			p.update("compiling package %d of %d: %s", compiled, stale, line)
		}
		return true
	})
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return fmt.Errorf("compile: %w", err)
	}
	return nil
}

// maxKept bounds how much of a command's complaints an error carries.
const maxKept = 40

// runLines runs cmd and gives each line of its stderr to line. What line does
// not take is part of the error if the command fails.
func runLines(cmd *exec.Cmd, line func(string) (taken bool)) error {
	reader, writer := io.Pipe()
	cmd.Stderr = writer
	var kept []string
	read := make(chan error, 1)
	go func() {
		scanner := bufio.NewScanner(reader)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			if text := scanner.Text(); !line(text) && len(kept) < maxKept {
				kept = append(kept, text)
			}
		}
		_, err := io.Copy(io.Discard, reader)
		read <- errors.Join(scanner.Err(), err)
	}()
	err := cmd.Run()
	_ = writer.Close()
	if readErr := <-read; err == nil {
		err = readErr
	}
	if err != nil && len(kept) > 0 {
		return fmt.Errorf("%w\n%s", err, strings.Join(kept, "\n"))
	}
	return err
}
