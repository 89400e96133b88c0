// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// help lists the documented targets of a Makefile: lines of the form
// "target: prerequisites ## what it does", grouped by lines "##@ group".
func help(makefile string, out io.Writer) error {
	content, err := os.ReadFile(makefile)
	if err != nil {
		return fmt.Errorf("read the targets: %w", err)
	}
	var text strings.Builder
	text.WriteString("usage: make TARGET\n")
	for line := range strings.Lines(string(content)) {
		text.WriteString(helpLine(strings.TrimRight(line, "\n")))
	}
	_, err = io.WriteString(out, text.String())
	return err
}

// helpLine is what the list shows of one line of a Makefile, mostly nothing.
func helpLine(line string) string {
	if group, ok := strings.CutPrefix(line, "##@ "); ok {
		return "\n" + group + "\n"
	}
	rule, comment, documented := strings.Cut(line, " ## ")
	name, _, isRule := strings.Cut(rule, ":")
	if !documented || !isRule || name == "" || strings.ContainsAny(name, " \t#$") {
		return ""
	}
	return fmt.Sprintf("  %-10s %s\n", name, strings.TrimSpace(comment))
}
